"""What listeners ask of their clients, into the shared table: compiled off the hot path."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import l4lb.native.edge as native
from l4lb.config.model import Config, Listener
from l4lb.native.table import Table


def write(
    config: Config,
    table: Table,
    listener_rows: Mapping[tuple[str, str], int],
    pool_rows: Mapping[str, int],
) -> None:
    """All of it, in place of what was there; after listeners and pools have their rows.

    listener_rows: (listener name, address as text) to row; pool_rows: pool name to row."""
    groups = []
    for listener in config.listeners.values():
        rows = [listener_rows[listener.name, str(bind)] for bind in listener.bind]
        for row in rows:
            native.set_needs(
                table,
                row,
                hello=reads_hello(config, listener),
                handshake_timeout_ms=listener.handshake_timeout_ms,
            )
        groups.append((rows, list(_compiled(listener, pool_rows))))
    native.publish_routes(table, groups)


def reads_hello(config: Config, listener: Listener) -> bool:
    """Must it be known what a TLS client asks for before a backend is chosen?"""
    pools = [config.pools[name] for name in listener.pools]
    return any(route.reads_hello for route in listener.routes) or any(
        (pool.balance in ("ip_hash", "maglev") and pool.hash_key == "sni")
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
