"""Orders to the control process to follow discovery sources, and the wait of a reload for the first
answers of new sources.

A pool without backends of its own would turn clients away until its source has answered. A reload
therefore first follows the new sources of such pools, and then installs the configuration with the
backends that they have found. A start waits too, before it takes clients (supervisor/main.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import l4lb.log
from l4lb.config.model import Backend, Config
from l4lb.errors import L4lbError
from l4lb.supervisor.process.faults import fault
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.reload.overlay import Overlay
from l4lb.supervisor.reload.source import Source

FIRST_ANSWERS_MS = 5_000  # maximum wait for the first answers of sources
LOG = l4lb.log.get("supervisor")

Prepare = Callable[[Config, Callable[[], None], Callable[[L4lbError], None]], None]


def order(source: Source) -> dict[str, Any]:
    """Returns the message for the control process: by pool the sources, and the names of the
    backends that no source has found (the file's, and those that operators have added)."""
    pools = source.file.pools.items()
    own = {name: [one.name for one in pool.backends] for name, pool in pools}
    for pool, name in source.overlay.added:
        own.setdefault(pool, []).append(name)
    return {
        "op": "discovery",
        "pools": {
            name: pool.discovery.model_dump(mode="json", by_alias=True, exclude_none=True)
            for name, pool in pools
            if pool.discovery is not None
        },
        "own": own,
    }


def unanswered(running: Config) -> list[str]:
    """Returns the pools that have no backend until their source finds one."""
    return [name for name, pool in running.pools.items() if pool.discovery and not pool.backends]


@dataclass
class _Wait:
    """The wait of one reload. pools: whose sources have not answered; order: the order to follow
    them, with its number; then, failed: as in Prepare."""

    pools: set[str]
    order: Mapping[str, Any]
    then: Callable[[], None]
    failed: Callable[[L4lbError], None]


@dataclass
class FirstAnswers:
    """The orders to the control process, and the wait of a reload for the sources that it brings.
    source: returns what is in force. send: sends the control process an order. prepare: what comes
    after the wait.

    Orders are numbered, and name by pool the order that began its source. The control process
    repeats these numbers in what it says, so that a word about an earlier source is not taken for
    the present one's."""

    reactor: Reactor
    source: Callable[[], Source]
    send: Callable[[Mapping[str, Any]], object]
    prepare: Prepare
    _found: dict[str, tuple[Backend, ...]] = field(default_factory=dict)
    _wait: _Wait | None = None
    _number: int = 0
    _followed: Mapping[str, Any] = field(default_factory=dict)  # settings by pool, as last ordered
    _since: dict[str, int] = field(default_factory=dict)  # by pool: the order that began them

    def __call__(
        self, config: Config, then: Callable[[], None], failed: Callable[[L4lbError], None]
    ) -> None:
        """As Prepare; config: what the file says."""
        self._found.clear()
        pools = self._new(config)
        if not pools:
            self.prepare(config, then, failed)
            return

        def ended() -> None:
            then()
            self.follow()

        def cannot(error: L4lbError) -> None:
            failed(error)
            self.follow()

        order = self._ordered(self._order_with(config, pools))
        wait = _Wait(set(pools), order, lambda: self.prepare(config, ended, cannot), cannot)
        self._wait = wait
        self.send(order)
        self.reactor.after(FIRST_ANSWERS_MS, lambda: self._go_on(wait))

    def follow(self) -> None:
        """Orders the control process to follow the sources of the configuration in force."""
        self.send(self._ordered(order(self.source())))

    def order(self) -> Mapping[str, Any]:
        """Returns the order for a control process that starts."""
        return self._wait.order if self._wait else self._ordered(order(self.source()))

    def _ordered(self, message: dict[str, Any]) -> Mapping[str, Any]:
        self._number += 1
        for name, settings in message["pools"].items():
            if self._followed.get(name) != settings:
                self._since[name] = self._number
        self._followed = message["pools"]
        since = {name: self._since[name] for name in message["pools"]}
        return message | {"number": self._number, "since": since}

    def _new(self, config: Config) -> list[str]:
        """Returns the pools that need the first answer of a source that is not followed yet."""
        now = self.source()
        followed = {name: pool.discovery for name, pool in now.file.pools.items()}
        return [
            name
            for name in unanswered(config)
            if followed.get(name) != config.pools[name].discovery
            and not now.overlay.discovered.get(name)
        ]

    def _order_with(self, config: Config, pools: Iterable[str]) -> dict[str, Any]:
        """Returns the order to follow the sources of these pools too. No backend of such a pool
        counts as one that its source has found."""
        now, running = self.source(), self.source().running.pools
        new = {name: config.pools[name] for name in pools}
        file = now.file.model_copy(update={"pools": {**now.file.pools, **new}})
        message = order(Source(now.path, file, now.overlay))
        for name in new.keys() & running.keys():
            message["own"][name] = [one.name for one in running[name].backends]
        return message

    def is_stale(self, pool: str, number: int) -> bool:
        """Returns whether the word is of a source that the pool had before the present one."""
        return number < self._since.get(pool, 0)

    def take(self, pool: str, found: tuple[Backend, ...]) -> bool:
        """Keeps what a source has found if a reload waits for it. Returns whether it does."""
        if self._wait is None or pool not in self._wait.pools:
            return False
        self._found[pool] = found
        return True

    def answered(self, pools: Iterable[str], number: int) -> None:
        """Notes that each of these pools' sources has answered or failed once since an order."""
        wait = self._wait
        if wait is not None and number >= wait.order["number"] and wait.pools <= set(pools):
            self._go_on(wait)

    def _go_on(self, wait: _Wait) -> None:
        if self._wait is not wait:
            return
        self._wait = None
        if missing := sorted(wait.pools - self._found.keys()):
            LOG.warning("reloading, but discovery has found no backend", pools=missing)
        try:
            wait.then()
        except Exception:
            wait.failed(fault("a change of the configuration"))

    def over(self, overlay: Overlay) -> Overlay:
        """Returns the overlay with the backends that were found."""
        for pool, found in self._found.items():
            overlay = overlay.with_discovered(pool, found)
        return overlay
