"""The checker as a process: what it writes into the table while a listener stops and returns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict

from l4lb.checker.types import Settings
from l4lb.native.results import Result
from l4lb.native.rows import BackendRow
from l4lb.native.table import Table
from tests.e2e.harness.deadline import until
from tests.unit.supervisor.tables import put_backend, table_of

from .conftest import Backend, Process

FAST = Settings("tcp", interval_ms=20, timeout_ms=5_000, rise=2, fall=3, jitter_percent=10)
SELDOM = Settings("tcp", 86_400_000, timeout_ms=5_000, rise=2, fall=3, jitter_percent=0)

Start = Callable[[Table, Mapping[str, Settings]], Process]


def is_up(row: BackendRow) -> bool:
    return row.health == "up"


def is_down(row: BackendRow) -> bool:
    return row.health == "down"


def test_a_listener_that_stops_and_returns_is_down_and_up_again(
    backend: Backend, start: Start
) -> None:
    checker = start(table_of({"web": {"a": backend.address}}), {"web": FAST})
    up = checker.until("up", is_up)
    assert up.check_result == Result.OK
    backend.stop()
    down = checker.until("down", is_down)
    assert down.checks_failed >= FAST.fall
    assert (down.check_result, down.check_streak >= FAST.fall) == (Result.REFUSED, True)
    assert down.health_since_ms > up.health_since_ms
    backend.start()
    again = checker.until("up again", is_up)
    assert again.check_result == Result.OK
    assert again.check_streak >= FAST.rise


def test_each_change_of_health_is_told_once_with_its_cause(backend: Backend, start: Start) -> None:
    checker = start(table_of({"web": {"a": backend.address}}), {"web": FAST})
    first = checker.event()
    assert (first["kind"], first["backend"], first["was"]) == ("backend_up", "web/a", "unknown")
    backend.stop()
    second = checker.event()
    assert (second["kind"], second["was"], second["result"]) == ("backend_down", "up", "refused")
    assert (second["text"], second["in_a_row"]) == ("Connection refused", FAST.fall)
    assert (second["check"], second["duration_ms"] >= 0) == ("tcp", True)
    backend.start()
    third = checker.event()
    assert (third["kind"], third["was"], third["in_a_row"]) == ("backend_up", "down", FAST.rise)


def test_a_killed_listener_is_found_within_fall_intervals(backend: Backend, start: Start) -> None:
    settings = Settings("tcp", interval_ms=100, timeout_ms=5_000, rise=2, fall=3, jitter_percent=10)
    checker = start(table_of({"web": {"a": backend.address}}), {"web": settings})
    checker.until("up", is_up)
    killed_ms = time.monotonic_ns() // 1_000_000
    backend.stop()
    took_ms = checker.until("down", is_down).health_since_ms - killed_ms
    # fall x interval, and a margin for a busy machine.
    assert 2 * 90 - 20 <= took_ms <= 3 * 100 + 1_500


def test_an_interval_shorter_than_the_checkers_own_turn_is_kept(
    backend: Backend, start: Start
) -> None:
    checker = start(table_of({"web": {"a": backend.address}}), {"web": FAST})
    first = checker.until_checked()
    last = checker.until_checked(more=50)
    # 50 checks at 20 ms; a fault once made each take 200 ms.
    assert last.check_at_ms - first.check_at_ms < 50 * 100


def test_a_checker_that_starts_again_leaves_health_untouched(
    backend: Backend, start: Start
) -> None:
    table = table_of({"web": {"a": backend.address}})
    first = start(table, {"web": FAST})
    before = first.until("up", is_up)
    first.close()
    patient = Settings(
        "tcp", interval_ms=20, timeout_ms=5_000, rise=2, fall=1_000, jitter_percent=0
    )
    backend.stop()
    second = start(table, {"web": patient})
    after = second.until_checked(more=5)
    assert (after.health, after.health_since_ms) == ("up", before.health_since_ms)
    assert after.check_streak >= 5


def test_a_checker_that_starts_again_keeps_down_until_rise_passes(
    backend: Backend, start: Start
) -> None:
    table = table_of({"web": {"a": backend.address}})
    table.record_check(
        0, 1, health="down", passed=False, result=int(Result.REFUSED), errno=111, streak=3,
        at_ms=1, duration_us=1,
    )  # fmt: skip
    slow_to_rise = Settings("tcp", 20, timeout_ms=5_000, rise=1_000, fall=3, jitter_percent=0)
    checker = start(table, {"web": slow_to_rise})
    assert checker.until_checked(more=5).health == "down"


def test_the_end_of_the_channel_ends_the_process(backend: Backend, start: Start) -> None:
    checker = start(table_of({"web": {"a": backend.address}}), {"web": FAST})
    checker.until("up", is_up)
    checker.channel.close()
    assert checker.ended() == "exited"


def test_the_end_of_the_channel_ends_a_process_that_has_nothing_to_do(start: Start) -> None:
    checker = start(table_of({}), {})
    until(lambda: checker.table.checker_beat_ms, "the first beat")
    checker.channel.close()
    assert checker.ended() == "exited"


def test_a_pool_without_settings_stays_unknown(backend: Backend, start: Start) -> None:
    table = table_of({"web": {"a": backend.address}, "other": {"b": backend.address}})
    checker = start(table, {"web": FAST})
    checker.until_checked(more=10)
    other = checker.row(1)
    assert (other.health, other.checks_passed, other.check_at_ms) == ("unknown", 0, 0)


def test_a_backend_in_maintenance_is_not_checked(backend: Backend, start: Start) -> None:
    table = table_of({"web": {"a": backend.address, "b": backend.address}})
    table.set_state(1, "maint")
    checker = start(table, {"web": FAST})
    checker.until_checked(more=10)
    assert checker.row(1).checks_passed == 0
    table.set_state(1, "ready")
    assert checker.until("checked now", is_up, index=1).checks_passed


def test_maintenance_while_checks_run_stops_them(backend: Backend, start: Start) -> None:
    table = table_of({"web": {"a": backend.address, "b": backend.address}})
    checker = start(table, {"web": FAST})
    checker.until_checked(index=1)
    table.set_state(1, "maint")

    def is_left_alone() -> bool:
        """Returns whether the other backend had 10 checks meanwhile, and this one none."""
        before = checker.row(1).checks_passed
        checker.until_checked(more=10, index=0)
        return checker.row(1).checks_passed == before

    until(is_left_alone, "no more checks")
    assert checker.row(1).health == "up"


def test_a_drained_backend_is_still_checked(backend: Backend, start: Start) -> None:
    table = table_of({"web": {"a": backend.address}})
    table.set_state(0, "drain")
    assert start(table, {"web": FAST}).until("up", is_up).state == "drain"


def test_a_row_given_to_another_backend_starts_from_nothing(backend: Backend, start: Start) -> None:
    table = table_of({"web": {"a": backend.address}})
    checker = start(table, {"web": FAST})
    checker.until("up", is_up)
    backend.stop()
    put_backend(table, 0, name="new", address=backend.address)
    down = checker.until("down", is_down)
    assert (down.name, down.serial, down.checks_passed) == ("new", 2, 0)


def test_settings_that_come_over_the_channel_are_used_at_once(
    backend: Backend, start: Start
) -> None:
    checker = start(table_of({"web": {"a": backend.address}}), {"web": SELDOM})
    until(lambda: checker.table.checker_beat_ms, "the first beat")
    checker.configure({"web": asdict(FAST)})
    checker.until("up", is_up)
    checker.configure({})

    def is_quiet() -> bool:
        before, beat = checker.row().checks_passed, checker.table.checker_beat_ms
        until(lambda: checker.table.checker_beat_ms > beat + 100, "another beat")
        return checker.row().checks_passed == before

    until(is_quiet, "no more checks")
    assert checker.row().health == "unknown"


def test_the_checker_beats_while_there_is_nothing_to_check(start: Start) -> None:
    checker = start(table_of({}), {})
    until(lambda: checker.table.checker_beat_ms, "the first beat")
    first = checker.table.checker_beat_ms
    until(lambda: checker.table.checker_beat_ms > first, "another beat")
