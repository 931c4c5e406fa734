"""What listeners ask of their clients, into the shared table: compiled off the hot path."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import l4lb.native.edge as native
from l4lb.config.model import Config, Listener
from l4lb.config.tables.edge import Access
from l4lb.native.table import Table
from l4lb.supervisor.access import Content, Sets
from l4lb.supervisor.reactor import Reactor

LOOK_MS = 1_000  # between two looks at the lists' files
RELEASE_MS = 500  # a look-up takes a microsecond


class Edge:
    """Writes the edge's part of one table, and keeps what it needs to change it later."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.sets = Sets(table)

    def configure(
        self,
        config: Config,
        listener_rows: Mapping[tuple[str, str], int],
        pool_rows: Mapping[str, int],
    ) -> None:
        """All of it, in place of what was there; after listeners and pools have their rows.

        listener_rows: (listener name, address as text) to row; pool_rows: pool name to row.
        Raises L4lbError if a list of networks cannot be read; then nothing has changed."""
        numbers = self.sets.replace(
            content
            for listener in config.listeners.values()
            for content in (_trusted(listener), _access(listener))
            if content is not None
        )
        for name, pool in config.pools.items():
            version = ("off", "v1", "v2").index(pool.send_proxy)
            native.set_pool(self._table, pool_rows[name], send_proxy=version, tlvs=pool.proxy_tlvs)
        groups = []
        for listener in config.listeners.values():
            rows = [listener_rows[listener.name, str(bind)] for bind in listener.bind]
            for row in rows:
                self._write_listener(row, config, listener, numbers)
            groups.append((rows, list(_compiled(listener, pool_rows))))
        native.publish_routes(self._table, groups)

    def watch(self, reactor: Reactor) -> None:
        """Looks at the lists' files from now on, every second."""
        if self.sets.look_at_files():
            reactor.after(RELEASE_MS, self.sets.release)
        reactor.after(LOOK_MS, lambda: self.watch(reactor))

    def _write_listener(
        self, row: int, config: Config, listener: Listener, numbers: Mapping[Content, int]
    ) -> None:
        trusted, access = _trusted(listener), _access(listener)
        rules = listener.access or Access()
        native.set_listener(
            self._table,
            row,
            hello=reads_hello(config, listener),
            proxy=listener.proxy_protocol,
            trusted_set=None if trusted is None else numbers[trusted],
            handshake_timeout_ms=listener.handshake_timeout_ms,
            access_set=None if access is None else numbers[access],
            else_denied=rules.others_denied,
            refusal=rules.refusal,
            dry_run=rules.dry_run,
        )


def _trusted(listener: Listener) -> Content | None:
    return Content.of_networks(listener.trusted) if listener.trusted else None


def _access(listener: Listener) -> Content | None:
    return None if listener.access is None else Content.of_access(listener.access)


def reads_hello(config: Config, listener: Listener) -> bool:
    """Must it be known what a TLS client asks for before a backend is chosen?"""
    pools = [config.pools[name] for name in listener.pools]
    return any(route.reads_hello for route in listener.routes) or any(
        (pool.send_proxy == "v2" and {"authority", "alpn"} & set(pool.proxy_tlvs))
        or (pool.balance in ("ip_hash", "maglev") and pool.hash_key == "sni")
        or (pool.sticky is not None and pool.sticky.key == "sni")
        for pool in pools
    )


def _compiled(listener: Listener, pool_rows: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """One row for each combination of a route's names, protocols and networks."""
    for route in listener.routes:
        for sni, alpn, source in itertools.product(
            route.sni or (None,), route.alpn or (None,), route.source or (None,)
        ):
            yield {
                "pool": pool_rows[route.pool],
                "sni": sni,
                "alpn": alpn,
                "source": source,
                "percent": route.percent,
            }
