"""The time at which a child that died is started again: a table of deaths."""

from __future__ import annotations

import pytest

from l4lb.supervisor.process.backoff import GIVE_UP_AFTER, MAX_DELAY_MS, QUICK_DEATH_MS, Backoff

LONG = QUICK_DEATH_MS
QUICK = QUICK_DEATH_MS - 1


def after(*lived_ms: int) -> Backoff:
    """Returns the state after deaths of processes that lived this long."""
    state = Backoff()
    for lived in lived_ms:
        state = state.died(lived)
    return state


@pytest.mark.parametrize(
    ("lived", "delay_ms"),
    [
        ([], 0),
        ([LONG], 0),
        ([QUICK], 0),
        ([QUICK, QUICK], 50),
        ([QUICK] * 3, 100),
        ([QUICK] * 4, 200),
        ([QUICK] * 5, 400),
        ([QUICK] * 6, 800),
        ([QUICK] * 7, 1_600),
        ([QUICK] * 8, MAX_DELAY_MS),
        ([QUICK] * 100, MAX_DELAY_MS),
        ([QUICK, QUICK, LONG], 0),
        ([QUICK] * 9 + [LONG, QUICK], 50),
        ([LONG] * 50, 0),
    ],
)
def test_each_quick_death_in_a_row_doubles_the_delay(lived: list[int], delay_ms: int) -> None:
    assert after(*lived).delay_ms == delay_ms


def test_ten_quick_deaths_in_a_row_are_a_crash_loop() -> None:
    assert not after(*[QUICK] * (GIVE_UP_AFTER - 1)).exhausted
    assert after(*[QUICK] * GIVE_UP_AFTER).exhausted


def test_deaths_after_a_long_life_are_never_a_crash_loop() -> None:
    assert not after(*[LONG] * 1_000).exhausted
    assert not after(*[QUICK] * 9, LONG, *[QUICK] * 8).exhausted


def test_a_state_is_not_changed_by_a_death() -> None:
    state = Backoff()
    assert state.died(0) == Backoff(1)
    assert state == Backoff()
