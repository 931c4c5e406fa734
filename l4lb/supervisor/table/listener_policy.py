"""What listeners ask of their clients, into the shared table: compiled off the hot path."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import l4lb.native.edge as native
from l4lb.clock import monotonic_ms
from l4lb.config.model import Config, Listener
from l4lb.errors import L4lbError
from l4lb.native.table import Table
from l4lb.supervisor.access.blocks import Blocks
from l4lb.supervisor.access.network_lists import Content
from l4lb.supervisor.access.network_sets import NetworkSets, Tell
from l4lb.supervisor.access.runtime_rules import RuntimeRules
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.table import row_settings

LOOK_MS = 1_000  # between two looks at lists' files and blocks


class ListenerPolicy:
    """Writes what listeners ask of clients into one table, and keeps what it needs to change it."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.sets = NetworkSets(table)
        self.blocks = Blocks(table, self.sets)
        self.rules = RuntimeRules(table, self.sets)
        self._listeners: Mapping[str, Listener] = {}
        self._heads: dict[str, int] = {}

    def configure(
        self,
        config: Config,
        listener_rows: Mapping[tuple[str, str], int],
        pool_rows: Mapping[str, int],
    ) -> None:
        """All of it, in place of what was there; after listeners and pools have their rows.

        listener_rows: (listener name, address as text) to row; pool_rows: pool name to row.
        Raises L4lbError if a list of networks cannot be read; then nothing has changed."""
        numbers = self.sets.replace(_contents(config))
        groups = []
        for listener in config.listeners.values():
            rows = [listener_rows[listener.name, str(bind)] for bind in listener.bind]
            values = self._settings(config, listener, pool_rows, numbers)
            values["head"] = self._heads.setdefault(listener.name, rows[0])
            for bind, row in zip(listener.bind, rows, strict=True):
                self._table.set_listener(row, name=listener.name, bind=str(bind), **values)
            groups.append((rows, list(_compiled(listener, pool_rows))))
        native.publish_routes(self._table, groups)
        self._listeners = config.listeners
        names = config.listeners.keys()
        self.rules.follow({name: rows for name, (rows, _) in zip(names, groups, strict=True)})
        self.blocks.configure(config.limits.auto_block)

    def is_head(self, row: int) -> bool:
        """Has a listener its counts there? Where they are does not change, whatever it binds."""
        return row in {self._heads[name] for name in self._listeners}

    def recycled(self, row: int) -> None:
        """This row is about to be another address's."""
        self._heads = {name: head for name, head in self._heads.items() if head != row}

    def prepare(
        self,
        config: Config,
        then: Callable[[], None],
        on_fault: Callable[[L4lbError], None],
    ) -> None:
        """Does what takes long of configure beforehand, and calls `then`, now or later: it is to
        configure, without delay. Or on_fault; nothing has changed."""
        self.sets.prepare(_contents(config), then, on_fault)

    def shown(self, args: Mapping[str, Any], now_ms: int) -> list[dict[str, Any]]:
        """Who may come in where; docs/admin.md, access."""
        return self.rules.shown(self._listeners, args, now_ms)

    def start(self, reactor: Reactor, tell: Tell) -> None:
        """Looks at files and blocks from now on, every second."""
        self.rules.tell = self.blocks.tell = tell
        self.sets.start(reactor, tell)
        self._look()
        reactor.every(LOOK_MS, self._look)

    def stop(self) -> None:
        """Ends what goes on beside the service."""
        self.sets.stop()

    def _look(self) -> None:
        self.sets.look_at_files()
        self.blocks.tick(monotonic_ms())
        self.rules.tick(monotonic_ms())

    def _settings(
        self,
        config: Config,
        listener: Listener,
        pool_rows: Mapping[str, int],
        numbers: Mapping[Content, int],
    ) -> dict[str, Any]:
        trusted, access = _trusted(listener), _access(listener)
        return row_settings.of_listener(
            listener,
            config.pools,
            hello=looks_for_hello(config, listener),
            pool=pool_rows[listener.pool],
            trusted_set=None if trusted is None else numbers[trusted],
            access_set=None if access is None else numbers[access],
            rules_set=self.rules.number(listener.name),
        )


def _contents(config: Config) -> list[Content]:
    """Every set that it needs."""
    return [
        content
        for listener in config.listeners.values()
        for content in (_trusted(listener), _access(listener))
        if content is not None
    ]


def _trusted(listener: Listener) -> Content | None:
    return Content.of_networks(listener.trusted) if listener.trusted else None


def _access(listener: Listener) -> Content | None:
    return None if listener.access is None else Content.of_access(listener.access)


def looks_for_hello(config: Config, listener: Listener) -> str:
    """Is a backend chosen by what a TLS client asks for ("needs"), or would one only be told of it
    ("likes"), or neither ("no")?"""
    pools = [config.pools[name] for name in listener.pools]
    if any(route.reads_hello for route in listener.routes) or any(
        (pool.balance in ("ip_hash", "maglev") and pool.hash_key == "sni")
        or (pool.sticky is not None and pool.sticky.key == "sni")
        for pool in pools
    ):
        return "needs"
    told = any(
        pool.send_proxy == "v2" and {"authority", "alpn"} & set(pool.proxy_tlvs) for pool in pools
    )
    return "likes" if told else "no"


def _compiled(listener: Listener, pool_rows: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """One row for each combination of a route's names, protocols and networks."""
    for route in listener.routes:
        ways = list(
            itertools.product(route.sni or (None,), route.alpn or (None,), route.source or (None,))
        )
        for left, (sni, alpn, source) in zip(reversed(range(len(ways))), ways, strict=True):
            yield {
                "pool": pool_rows[route.pool],
                "sni": sni,
                "alpn": alpn,
                "source": source,
                "percent": route.percent,
                "goes_on": left > 0,
            }
