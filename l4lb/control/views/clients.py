"""Clients as operators see them: the busiest sources and the blocked ones. Pure, as overview.py
is."""

from __future__ import annotations

from typing import Any

from l4lb.native import sets, talkers
from l4lb.native.table import Table

Map = dict[str, Any]


def busiest(table: Table, now_ms: int) -> list[Map]:
    """Returns the busiest sources (top talkers), merged from the sketches of all workers."""
    return [
        {
            "source": row.source,
            "active": row.active,
            "sessions": row.sessions,
            "rejected": row.rejected,
            "bytes": row.bytes,
            "age_s": max(0, now_ms - row.since_ms) // 1000 if row.since_ms else 0,
        }
        for row in talkers.read(table)
    ]


def blocked(table: Table, now_ms: int) -> list[Map]:
    """Returns the blocked sources, oldest first."""
    return [
        {
            "source": row.source,
            "by": row.by,
            "dry_run": row.dry_run,
            "age_s": max(0, now_ms - row.since_ms) // 1000,
            "left_s": None if row.until_ms is None else max(0, row.until_ms - now_ms) // 1000,
        }
        for row in sets.blocks(table)
    ]
