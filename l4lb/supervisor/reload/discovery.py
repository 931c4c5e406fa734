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
    """The wait of one reload. pools: the pools whose sources are waited for. then: called after the
    wait."""

    pools: set[str]
    then: Callable[[], None]


@dataclass
class FirstAnswers:
    """The wait of a reload for its new sources. source: returns the source in force. follow: sends
    the control process an order. prepare: called after the wait."""

    reactor: Reactor
    source: Callable[[], Source]
    follow: Callable[[Mapping[str, Any]], object]
    prepare: Prepare
    _found: dict[str, tuple[Backend, ...]] = field(default_factory=dict)
    _wait: _Wait | None = None

    def __call__(
        self, config: Config, then: Callable[[], None], failed: Callable[[L4lbError], None]
    ) -> None:
        """Waits, then prepares; the arguments are those of Prepare. config: the file's
        configuration."""
        self._found.clear()
        pools = self._new(config)
        if not pools:
            self.prepare(config, then, failed)
            return

        def ended() -> None:
            then()
            self.follow(order(self.source()))

        def cannot(error: L4lbError) -> None:
            failed(error)
            self.follow(order(self.source()))

        wait = self._wait = _Wait(set(pools), lambda: self.prepare(config, ended, cannot))
        self.follow(self._order_with(config, pools))
        self.reactor.after(FIRST_ANSWERS_MS, lambda: self._go_on(wait))

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
        """Returns the order to follow the new sources of these pools too. It names all present
        backends of these pools as their own, so that none counts as found by the new source."""
        now, running = self.source(), self.source().running.pools
        new = {name: config.pools[name] for name in pools}
        file = now.file.model_copy(update={"pools": {**now.file.pools, **new}})
        message = order(Source(now.path, file, now.overlay))
        for name in new.keys() & running.keys():
            message["own"][name] = [one.name for one in running[name].backends]
        return message

    def take(self, pool: str, found: tuple[Backend, ...]) -> bool:
        """Keeps the backends that a source has found, if a reload waits for them. Returns whether
        one does."""
        if self._wait is None or pool not in self._wait.pools:
            return False
        self._found[pool] = found
        return True

    def answered(self, pools: Iterable[str]) -> None:
        """Ends the wait if it is for no other pools: the sources of these have answered or failed
        once."""
        if self._wait is not None and self._wait.pools <= set(pools):
            self._go_on(self._wait)

    def _go_on(self, wait: _Wait) -> None:
        if self._wait is not wait:
            return
        self._wait = None
        if missing := sorted(wait.pools - self._found.keys()):
            LOG.warning("reloading, but discovery has found no backend", pools=missing)
        wait.then()

    def over(self, overlay: Overlay) -> Overlay:
        """Returns the overlay with the backends that were found."""
        for pool, found in self._found.items():
            overlay = overlay.with_discovered(pool, found)
        return overlay
