"""TLS as operators see it: certificates in force, and counts of handshakes."""

from __future__ import annotations

from typing import Any

from l4lb.control.channel import Channel
from l4lb.native import tls
from l4lb.native.table import Table
from l4lb.native.tls_rows import Handshakes

CERTIFICATES_MAX = 16_384


async def certificates(channel: Channel) -> list[dict[str, Any]]:
    """Returns one map for each certificate. The supervisor answers a page at a time."""
    found: list[dict[str, Any]] = []
    while len(found) < CERTIFICATES_MAX:
        page = await channel.ask("certificates", {"offset": len(found)})
        if not page:
            break
        found += page
    return found


def in_use(table: Table) -> bool:
    """Returns whether any listener terminates TLS or any pool uses TLS towards its backends."""
    return any(tls.pool_has_tls(table, row.index) for row in table.pools()) or any(
        tls.listener_end(table, row.index) is not None for row in table.listeners()
    )


def of_listener(table: Table, index: int) -> dict[str, Any]:
    """Returns {"tls": counts} for a listener that terminates TLS, {} for any other."""
    if tls.listener_end(table, index) is None:
        return {}
    return {"tls": _shown(tls.listener_handshakes(table, index))}


def of_pool(table: Table, index: int) -> dict[str, Any]:
    """Returns {"tls": counts} for a pool that uses TLS towards its backends, {} for any other."""
    return (
        {"tls": _shown(tls.pool_handshakes(table, index))} if tls.pool_has_tls(table, index) else {}
    )


def _shown(counts: Handshakes) -> dict[str, Any]:
    return {
        "full": counts.full,
        "resumed": counts.resumed,
        "failed": counts.failed,
        "in_progress": counts.now,
        "last_failure": counts.why,
    }
