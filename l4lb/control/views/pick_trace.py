"""Recorded choices of a backend, as `admin picks` shows them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l4lb.native import trace
from l4lb.native.rows import PickRow
from l4lb.native.table import Table

KEPT_MAX = 64 * 256  # = (L4_WORKERS_MAX - 2) * L4_TRACES


def picks(table: Table, now_ms: int, args: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the newest choices, up to `limit`. `pool` and `client`, where given, select among
    them."""
    pool, client = args["pool"], args["client"]
    found = [
        row
        for row in trace.recent(table, KEPT_MAX)
        if pool in (None, row.pool) and client in (None, row.client.rpartition(":")[0].strip("[]"))
    ]
    return [_shown(row, now_ms) for row in found[: args["limit"]]]


def _shown(row: PickRow, now_ms: int) -> dict[str, Any]:
    return {
        "age_ms": max(0, now_ms - row.at_us // 1000),
        "worker": row.worker,
        "client": row.client,
        "listener": row.listener,
        "pool": row.pool,
        "backend": row.chosen,
        "because": because(row),
        "retries": row.retries,
        "members": row.members,
        "candidates": [one._asdict() for one in row.candidates],
    }


def because(row: PickRow) -> str:
    """Returns in words why this backend was chosen, or none."""
    if row.chosen is None:
        if row.full:
            return "all usable backends are at their max_connections"
        return "every backend that is ready and up was tried"
    if row.sticky:
        words = ["the client belongs to it (sticky)"]
    elif row.named:
        words = ["its connection id names it"]
    else:
        words = [row.balance]
    if row.tier == "backups":
        words.append("among backups: no primary is usable")
    elif row.tier == "any":
        words.append("among all, up or down: none is up")
    if row.retries:
        words.append(f"after {row.retries} that could not be reached")
    return ", ".join(words)
