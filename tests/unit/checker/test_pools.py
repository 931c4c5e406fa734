"""Pools without a usable backend: reported once, when it is certain, and with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from l4lb.checker.judge import Verdict
from l4lb.checker.members import Member
from l4lb.checker.plan import Plan
from l4lb.checker.pools import FIRST_MS, Pools
from l4lb.native.table import Table
from tests.unit.supervisor.tables import closed_port, table_of


def member(state: str = "ready", weight: int = 1, health: str = "up", percent: int = 100) -> Member:
    table: Table = table_of({"web": {"a": closed_port()}})
    (row,) = table.backends()
    row = row._replace(state=state, weight=weight, health=health)
    return Member(row, Plan(), Verdict("unknown"), agent_percent=percent)


def kinds(pools: Pools, members: list[Member], at_ms: int) -> list[str]:
    return [event["kind"] for event in pools.look({"web": members}, at_ms)]


OUT: list[tuple[dict[str, Any], str]] = [
    ({"state": "drain"}, "1 drained"),
    ({"state": "maint"}, "1 in maintenance"),
    ({"weight": 0}, "1 without weight"),
    ({"percent": 0}, "1 without weight"),
    ({"health": "down"}, "1 down"),
    ({"health": "ejected"}, "1 ejected"),
]


@pytest.mark.parametrize(("how", "why"), OUT)
def test_a_pool_is_down_whatever_took_its_last_backend(how: dict[str, Any], why: str) -> None:
    pools = Pools()
    assert kinds(pools, [member()], 0) == []
    assert not pools.is_unsettled
    assert kinds(pools, [member(**how)], 100) == []  # perhaps a reload is in the middle of it
    assert pools.is_unsettled
    (event,) = pools.look({"web": [member(**how)]}, 200)
    assert (event["kind"], event["pool"]) == ("pool_down", "web")
    assert (event["was"], event["health"], event["usable"]) == ("up", "down", 0)
    assert event["text"] == f"no backend is usable: {why}"
    assert kinds(pools, [member(**how)], 300) == []
    assert not pools.is_unsettled
    assert kinds(pools, [member(**how), member()], 400) == ["pool_up"]
    assert kinds(pools, [member()], 500) == []


@pytest.mark.parametrize("health", ["up", "unknown"])
def test_a_backend_that_nobody_checks_is_usable(health: str) -> None:
    pools = Pools()
    assert [kinds(pools, [member(health=health)], at) for at in (0, FIRST_MS, 99_999)] == [[]] * 3


def test_a_pool_that_waits_for_its_first_backend_has_time() -> None:
    pools = Pools()
    assert [kinds(pools, [], at) for at in (0, 100, FIRST_MS - 1)] == [[], [], []]
    assert pools.is_unsettled
    (event,) = pools.look({"web": []}, FIRST_MS)
    assert event["text"] == "it has no backend"


def test_who_takes_over_does_not_tell_again_what_was_told() -> None:
    pools = Pools(["web", "gone"])
    assert [kinds(pools, [], at) for at in (0, FIRST_MS, 2 * FIRST_MS)] == [[], [], []]
    assert kinds(pools, [member()], 3 * FIRST_MS) == ["pool_up"]


def test_a_pool_that_comes_back_by_its_name_begins_anew() -> None:
    pools = Pools()
    kinds(pools, [member()], 0)
    kinds(pools, [], 100)
    assert kinds(pools, [], 200) == ["pool_down"]
    assert list(pools.look({}, 300)) == []
    assert kinds(pools, [], 400) == []
