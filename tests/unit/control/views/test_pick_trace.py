"""Recorded choices, as words."""

from __future__ import annotations

from typing import Any

import pytest

from l4lb.control.views import pick_trace as module
from l4lb.control.views.pick_trace import because, picks
from l4lb.native.rows import Candidate, PickRow


def row(**values: Any) -> PickRow:
    given = {
        "at_us": 5_000_000, "worker": 0, "session": 1, "client": "10.0.0.1:99", "listener": "front",
        "pool": "web", "chosen": "a", "balance": "round_robin", "tier": "primaries", "full": False,
        "sticky": False, "named": False, "retries": 0, "members": 1,
        "candidates": [Candidate("a", 1, 3, "usable", "ready", "up", False)],
    }  # fmt: skip
    return PickRow(**(given | values))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "round_robin"),
        ({"sticky": True}, "the client belongs to it (sticky)"),
        (
            {"named": True, "retries": 1},
            "its connection id names it, after 1 that could not be reached",
        ),
        ({"tier": "backups"}, "round_robin, among backups: no primary is usable"),
        ({"tier": "any"}, "round_robin, among all, up or down: none is up"),
        ({"retries": 2}, "round_robin, after 2 that could not be reached"),
        ({"chosen": None}, "every backend that is ready and up was tried"),
        ({"chosen": None, "full": True}, "all usable backends are at their max_connections"),
    ],
)
def test_the_reason_is_told(values: dict[str, Any], said: str) -> None:
    assert because(row(**values)) == said


def test_they_are_found_by_pool_and_client(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(), row(pool="db"), row(client="[2001:db8::1]:5"), row(client="unix:")]
    monkeypatch.setattr(module.trace, "recent", lambda _table, limit: rows[:limit])
    table: Any = None

    def found(**args: Any) -> int:
        return len(picks(table, 6_000, {"pool": None, "client": None, "limit": 10} | args))

    assert (found(), found(limit=2)) == (4, 2)
    assert (found(pool="db"), found(client="10.0.0.1"), found(client="2001:db8::1")) == (1, 2, 1)
    (one,) = picks(table, 6_000, {"pool": "db", "client": None, "limit": 1})
    assert one["age_ms"] == 1_000
    assert one["candidates"][0]["inflight"] == 3
