"""What a reload would mean for clients: the shares of sessions and of hash keys that it touches.

Pure but for the table, which is only read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l4lb.native.table import Table

Plain = Mapping[str, Any]


def told(table: Table, answer: dict[str, Any]) -> dict[str, Any]:
    """The supervisor's answer, with what it means in place of the two configurations."""
    del answer["before"], answer["after"]
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
    return answer
