"""The conditions of `wait`."""

from __future__ import annotations

import pytest

from l4lb.control.views.conditions import CONDITIONS, condition
from l4lb.errors import AdminError
from l4lb.native.table import Table
from tests.unit.supervisor.tables import closed_port, put_backend, table_of


@pytest.fixture
def table() -> Table:
    return table_of({"web": {"a": closed_port()}})


def set_health(table: Table, health: str) -> None:
    table.record_check(
        0, 1, health=health, passed=True, result=1, errno=0, streak=1, at_ms=1, duration_us=1
    )


@pytest.mark.parametrize("health", ["unknown", "up", "down"])
def test_up_and_down_are_the_words_of_the_checker(table: Table, health: str) -> None:
    set_health(table, health)
    assert condition("backend-up", "web/a")(table) is (health == "up")
    assert condition("backend-down", "web/a")(table) is (health == "down")
    assert not condition("backend-ejected", "web/a")(table)


def test_a_backend_without_sessions_is_drained(table: Table) -> None:
    assert condition("backend-drained", "web/a")(table)


def test_sessions_below_is_strict(table: Table) -> None:
    assert condition("sessions-below", "1")(table)
    assert not condition("sessions-below", "0")(table)


def test_a_generation_is_reached_when_it_is_that_or_later(table: Table) -> None:
    table.generation = 5
    assert condition("generation", "4")(table)
    assert condition("generation", "5")(table)
    assert not condition("generation", "6")(table)


@pytest.mark.parametrize("name", ["backend-up", "backend-down", "backend-drained"])
@pytest.mark.parametrize("operand", ["web/b", "other/a", "a", "", "/", "web/a/"])
def test_a_backend_that_is_not_there_is_told(table: Table, name: str, operand: str) -> None:
    with pytest.raises(AdminError, match="no backend is named") as caught:
        condition(name, operand)(table)
    assert caught.value.code == "not_found"


@pytest.mark.parametrize("name", ["sessions-below", "generation"])
@pytest.mark.parametrize("operand", ["", "x", "-1", "1.5", " 1", "٣", "²", "9" * 19])
def test_a_number_that_is_none_is_refused_at_once(name: str, operand: str) -> None:
    with pytest.raises(AdminError, match="not a whole number") as caught:
        condition(name, operand)
    assert caught.value.code == "bad_argument"


def test_a_condition_nobody_knows_is_refused_with_the_known_ones() -> None:
    with pytest.raises(AdminError) as caught:
        condition("weather", "fine")
    assert caught.value.code == "bad_argument"
    assert all(name in caught.value.message for name in CONDITIONS)


def test_a_backend_that_is_removed_while_it_is_waited_for_is_told(table: Table) -> None:
    holds = condition("backend-up", "web/a")
    assert not holds(table)
    put_backend(table, 0, name="b", address=closed_port(2))
    with pytest.raises(AdminError, match="web/a was removed") as caught:
        holds(table)
    assert caught.value.code == "not_found"
