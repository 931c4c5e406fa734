"""A backend's health from all its sources, its next interval, and what a new checker process
remembers."""

from __future__ import annotations

import pytest

from l4lb.checker.judge import Verdict
from l4lb.checker.members import Member, remembered
from l4lb.checker.plan import Agent, Plan
from l4lb.checker.types import Settings
from l4lb.native import health as door
from l4lb.native.results import Result
from tests.unit.supervisor.tables import closed_port, table_of

CHECKS = Settings("tcp", 1_000, 500, 2, 3, 10, fast_interval_ms=100, down_interval_ms=5_000)
AGENT = Agent(99, 1_000, 500)
TABLE = table_of({"web": {"a": closed_port()}})
(ROW,) = TABLE.backends()


@pytest.mark.parametrize(
    ("verdict", "run", "due"),
    [
        ("unknown", 0, 100),
        ("up", 5, 1_000),
        ("up", -1, 100),
        ("down", -4, 5_000),
        ("down", 1, 100),
    ],
)
def test_the_interval_is_shorter_while_health_is_not_settled(
    verdict: str, run: int, due: int
) -> None:
    assert Member(ROW, Plan(CHECKS), Verdict(verdict, run)).interval_ms == due


def test_without_other_intervals_there_is_one() -> None:
    plain = Settings("tcp", 1_000, 500, 2, 3, 10)
    for verdict in (Verdict("up", -1), Verdict("down", -9), Verdict("unknown")):
        assert Member(ROW, Plan(plain), verdict).interval_ms == 1_000


@pytest.mark.parametrize(
    ("checks", "agent", "verdict", "due"),
    [
        (True, "", "up", "up"),
        (True, "up", "down", "down"),
        (True, "down", "up", "down"),
        (True, "up", "unknown", "unknown"),
        (False, "", "unknown", "unknown"),
        (False, "up", "unknown", "up"),
        (False, "down", "unknown", "down"),
    ],
)
def test_nobody_may_say_down_and_somebody_must_say_up(
    checks: bool, agent: str, verdict: str, due: str
) -> None:
    plan = Plan(CHECKS if checks else None, AGENT)
    assert Member(ROW, plan, Verdict(verdict), agent).health == due


@pytest.mark.parametrize(
    ("agent", "slow", "due"), [(100, 100, 0), (50, 100, -50), (50, 10, -95), (0, 100, -100),
                               (1, 10, -99), (200, 100, 100)],
)  # fmt: skip
def test_agent_and_slowness_multiply_and_only_the_agent_takes_all(
    agent: int, slow: int, due: int
) -> None:
    member = Member(ROW, Plan(), Verdict("up"), agent_percent=agent, slow_percent=slow)
    assert member.weight_change == due


def test_a_new_process_remembers_verdict_streak_agent_and_weight() -> None:
    table = table_of({"web": {"a": closed_port()}})
    table.record_check(
        0, 1, health="down", verdict="up", passed=False, result=int(Result.REFUSED), errno=111,
        streak=2, at_ms=1, duration_us=1,
    )  # fmt: skip
    door.set_health(table, 0, 1, health="down", agent="down", at_ms=2)
    door.set_weight_change(table, 0, 1, -40)
    (row,) = table.backends()
    known = remembered(table, row, Plan(CHECKS, AGENT))
    assert known.verdict == Verdict("up", -2)
    assert (known.agent, known.health, known.agent_percent) == ("down", "down", 60)
    assert remembered(table, row, Plan(CHECKS, slow_factor=3)).slow_percent == 60


def test_what_was_this_hosts_own_fault_is_no_streak() -> None:
    table = table_of({"web": {"a": closed_port()}})
    table.record_check(
        0, 1, health="up", passed=False, result=int(Result.NO_SOCKET), errno=24, streak=7,
        at_ms=1, duration_us=1,
    )  # fmt: skip
    assert remembered(table, table.backends()[0], Plan(CHECKS)).verdict == Verdict("up", 0)


def test_an_agent_that_is_not_asked_any_more_has_nothing_to_say() -> None:
    member = Member(ROW, Plan(CHECKS, AGENT, slow_factor=3), Verdict("up"), "down")
    member.agent_percent = member.slow_percent = 50
    assert (member.health, member.weight_change) == ("down", -75)
    member.follow(Plan(CHECKS, slow_factor=3))
    assert (member.health, member.weight_change) == ("up", -50)
    member.follow(Plan(CHECKS))
    assert (member.health, member.weight_change) == ("up", 0)
    table = table_of({"web": {"a": closed_port()}})
    door.set_health(table, 0, 1, health="down", agent="down", at_ms=2)
    assert remembered(table, table.backends()[0], Plan(CHECKS)).agent == ""
