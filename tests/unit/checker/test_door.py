"""The native functions for health: weights, the end of ejections, and which backends have
changed."""

from __future__ import annotations

from l4lb.native import health as door
from l4lb.native.health import Watch
from tests.unit.supervisor.tables import closed_port, put_backend, table_of

TWO = {"web": {"a": closed_port(1), "b": closed_port(2)}}


def test_a_weight_change_is_in_the_schedule_once_it_is_published() -> None:
    table = table_of(TWO)
    assert door.set_weight_change(table, 1, 1, -50)
    assert not door.set_weight_change(table, 1, 1, -50)
    assert not door.set_weight_change(table, 1, 2, -90)  # another backend's
    table.publish(0)
    assert sorted(table.schedule(0)) == [0, 0, 1]
    door.set_weight_change(table, 1, 1, 100)
    table.publish(0)
    assert sorted(table.schedule(0)) == [0, 1, 1]
    door.set_weight_change(table, 1, 1, -100)
    table.publish(0)
    assert table.schedule(0) == [0]


def test_a_row_given_anew_knows_nothing_of_the_one_before() -> None:
    table = table_of(TWO)
    door.set_weight_change(table, 0, 1, -50)
    door.set_health(table, 0, 1, health="down", agent="down", at_ms=5)
    put_backend(table, 0, name="c", address=closed_port(3), health="up")
    known = door.health(table, 0)
    assert known is not None
    assert (known.verdict, known.agent, known.weight_change, known.told) == ("up", "", 0, "")


def test_what_changed_is_told_until_it_was_looked_at() -> None:
    table = table_of(TWO)
    watch = Watch(table)
    assert watch.changed(1) == [0, 1]  # all are new
    for index in (0, 1):
        door.set_told(table, index, "unknown")
    assert watch.changed(2) == []
    door.set_health(table, 1, 1, health="down", agent="", at_ms=5)
    assert watch.changed(3) == [1]
    assert watch.changed(4) == [1]
    door.set_told(table, 1, "down")
    assert watch.changed(5) == []
    table.set_state(0, "drain")
    assert watch.changed(6) == [0]
    table.generation = 2
    assert watch.changed(7) == [0, 1]


def test_health_of_a_free_row_is_none() -> None:
    assert door.health(table_of({}), 0) is None
