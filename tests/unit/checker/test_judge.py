"""Health from results, against a naive implementation that reads the whole history."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.checker.judge import Verdict, judge

RESULTS = st.lists(st.booleans(), max_size=60)
STREAKS = st.integers(min_value=1, max_value=6)


def healths(start: str, results: list[bool], rise: int, fall: int) -> list[str]:
    """Returns the health after each result."""
    verdict, found = Verdict(start), []
    for passed in results:
        verdict = judge(verdict, passed, rise=rise, fall=fall)
        found.append(verdict.health)
    return found


def naive(start: str, results: list[bool], rise: int, fall: int) -> list[str]:
    """Reads the whole history again at every result."""
    health, found = start, []
    for end in range(1, len(results) + 1):
        history = results[:end]
        rose = all(history[-rise:]) and len(history) >= rise
        if history[-1] and (health == "unknown" or rose):
            health = "up"
        elif health != "down" and len(history) >= fall and not any(history[-fall:]):
            health = "down"
        found.append(health)
    return found


@given(st.sampled_from(["unknown", "up", "down"]), RESULTS, STREAKS, STREAKS)
def test_health_is_what_a_reader_of_the_whole_history_would_say(
    start: str, results: list[bool], rise: int, fall: int
) -> None:
    assert healths(start, results, rise, fall) == naive(start, results, rise, fall)


@given(RESULTS, STREAKS, STREAKS)
def test_a_flapping_backend_changes_at_most_once_in_a_window_of_rise_or_fall(
    results: list[bool], rise: int, fall: int
) -> None:
    words = ["up", *healths("up", results, rise, fall)]
    changes = [place for place, (a, b) in enumerate(pairwise(words)) if a != b]
    for earlier, later in pairwise(changes):
        assert later - earlier >= (rise if words[later + 1] == "up" else fall)


@given(RESULTS, STREAKS, STREAKS)
def test_the_run_counts_equal_results_in_a_row_with_the_sign_of_the_last(
    results: list[bool], rise: int, fall: int
) -> None:
    verdict = Verdict("unknown")
    for end, passed in enumerate(results, 1):
        verdict = judge(verdict, passed, rise=rise, fall=fall)
        length = next((n for n, one in enumerate(reversed(results[:end])) if one != passed), end)
        assert verdict.run == (length if passed else -length)


def test_results_that_alternate_never_change_what_was_up() -> None:
    assert set(healths("up", [False, True] * 50, rise=2, fall=2)) == {"up"}


def test_results_that_alternate_never_bring_back_what_was_down() -> None:
    assert set(healths("down", [True, False] * 50, rise=2, fall=2)) == {"down"}


def test_the_first_pass_settles_a_backend_nobody_knows() -> None:
    assert healths("unknown", [True], rise=5, fall=3) == ["up"]


def test_an_unknown_backend_that_fails_is_used_until_fall_failures() -> None:
    assert healths("unknown", [False] * 3, rise=2, fall=3) == ["unknown", "unknown", "down"]


@pytest.mark.parametrize("health", ["unknown", "up", "down"])
def test_a_checker_that_starts_keeps_the_health_it_finds(health: str) -> None:
    assert Verdict(health, 0).health == health
    assert judge(Verdict(health), health != "down", rise=2, fall=2).health in (health, "up")
