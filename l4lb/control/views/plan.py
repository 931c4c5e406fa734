"""The effect of a reload on clients: the shares of sessions and of hash keys that it touches.

Pure but for the table, which is only read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l4lb.config.plain import members
from l4lb.control.views import explain
from l4lb.errors import AdminError
from l4lb.native.table import Table

Plain = Mapping[str, Any]
CHOOSING = ("balance", "hash_key", "hash_prefix", "maglev_size", "hash_balance_factor")


def told(table: Table, answer: dict[str, Any]) -> dict[str, Any]:
    """Returns the supervisor's answer to `plan`. The effect on clients replaces the two
    configurations in it."""
    before, after = answer.pop("before"), answer.pop("after")
    gone = {
        change["name"]
        for change in answer["changes"]
        if (change["kind"], change["action"]) == ("backend", "removed")
    }
    rows = table.backends()
    touched = sum(row.active for row in rows if f"{row.pool}/{row.name}" in gone)
    answer["sessions"] = {
        "live": sum(row.active for row in rows),
        "on_removed_backends": touched,
    }
    answer["pools"] = [
        {
            "pool": name,
            "live": sum(row.active for row in rows if row.pool == name),
            "on_removed_backends": sum(
                row.active for row in rows if row.pool == name and f"{name}/{row.name}" in gone
            ),
            "hash_keys_moved": _moved(table, name, pool, after["pools"].get(name)),
        }
        for name, pool in before["pools"].items()
        if _differs(pool, after["pools"].get(name))
    ]
    return answer


def _weights(pool: Plain) -> dict[str, int]:
    return {name: one.get("weight", 1) for name, one in members(pool).items()}


def _ways(pool: Plain) -> list[Any]:
    return [pool.get(key) for key in CHOOSING]


def _differs(before: Plain, after: Plain | None) -> bool:
    """Returns whether the pool would choose backends for clients differently."""
    return after is None or _weights(before) != _weights(after) or _ways(before) != _ways(after)


def _moved(table: Table, name: str, before: Plain, after: Plain | None) -> float | None:
    """Returns the share of clients' hash keys that would get another backend. None: the pool hashes
    neither before nor after, is gone, or gets more new backends than a simulation may add."""
    if after is None or not {before.get("balance"), after.get("balance")} & set(explain.HASHES):
        return None
    if _ways(before) != _ways(after):
        return 1.0
    old, new = _weights(before), _weights(after)
    change = explain.Asked(
        remove=[one for one in old if one not in new],
        add=[(one, weight) for one, weight in new.items() if one not in old],
        weights={one: weight for one, weight in new.items() if old.get(one, weight) != weight},
    )
    try:
        moved: float | None = explain.simulated(table, name, change)["moved"]
    except AdminError:
        return None
    return moved
