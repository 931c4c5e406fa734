"""Slow backends (gray failure): which lose weight, how fast, and that they regain it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from l4lb.checker.slow import LEAST_PERCENT, steps

MS = 1_000


def test_only_the_one_far_above_the_others_loses_weight() -> None:
    answers = {"a": 5 * MS, "b": 6 * MS, "c": 40 * MS}
    assert steps(answers, {}, 3) == {"a": 100, "b": 100, "c": 70}


def test_of_two_the_slower_one_is_found() -> None:
    assert steps({"a": 5 * MS, "b": 40 * MS}, {}, 3) == {"a": 100, "b": 70}


def test_one_alone_or_unknown_others_say_nothing() -> None:
    assert steps({"a": 500 * MS}, {}, 3) == {"a": 100}
    assert steps({"a": 500 * MS, "b": 0, "c": 0}, {}, 3) == {"a": 100, "b": 100, "c": 100}


def test_differences_below_a_millisecond_are_noise() -> None:
    assert steps({"a": 100, "b": 900}, {}, 3) == {"a": 100, "b": 100}


def test_it_is_lost_step_by_step_down_to_a_least_and_comes_back_step_by_step() -> None:
    share, seen = {"a": 100, "b": 100}, []
    for _ in range(8):
        share = steps({"a": 5 * MS, "b": 50 * MS}, share, 3)
        seen.append(share["b"])
    assert seen == [70, 40, 20, 10, 10, 10, 10, 10]
    for due in (20, 30, 40, 50, 60, 70, 80, 90, 100, 100):
        share = steps({"a": 5 * MS, "b": 6 * MS}, share, 3)
        assert share["b"] == due


@given(
    st.dictionaries(st.integers(0, 20), st.integers(0, 1 << 32), max_size=20),
    st.dictionaries(st.integers(0, 20), st.integers(LEAST_PERCENT, 100)),
    st.floats(1.5, 1000),
)
def test_every_share_stays_within_its_bounds(
    answers: dict[int, int], shares: dict[int, int], factor: float
) -> None:
    found = steps(answers, shares, factor)
    assert set(found) == set(answers)
    assert all(LEAST_PERCENT <= share <= 100 for share in found.values())
    known = [us for us in answers.values() if us]
    if known:  # the fastest never loses weight
        fastest = min((key for key in answers if answers[key]), key=lambda key: answers[key])
        assert found[fastest] >= shares.get(fastest, 100)
