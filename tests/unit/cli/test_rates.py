"""Rates from counts, and their past."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.cli.rates import BARS, KEPT, TOTAL_COUNTS, Rates, Sample, amount, bars, quantile


def said(at_s: float, total: int, *names: str) -> Sample:
    rows: list[dict[str, Any]] = [
        {"pool": "web", "name": name, "total": total, "bytes_in": 10 * total, "bytes_out": 0,
         "connect_errors": 0}
        for name in names
    ]  # fmt: skip
    stats = {"accepted": total * len(names), "bytes_in": 0, "bytes_out": 0, "connect_errors": 0}
    return Sample(at_s, {}, stats, rows, [{"index": 0, "accepted": total, "turns": 2 * total}])


def test_growth_a_second_of_the_whole_of_backends_and_of_workers() -> None:
    rates = Rates()
    rates.add(said(10.0, 100, "a", "b"))
    assert rates.rows["backends"][0]["total_per_s"] == 0
    rates.add(said(12.0, 300, "a", "b"))
    assert [row["total_per_s"] for row in rates.rows["backends"]] == [100, 100]
    assert rates.rows["backends"][0]["bytes_in_per_s"] == 1_000
    assert rates.rows["workers"][0]["turns_per_s"] == 200
    assert rates.totals["accepted"] == 200
    assert list(rates.past("backends", "web/a", "total")) == [0, 100]


def test_a_new_backend_has_no_rate_and_one_that_went_no_past() -> None:
    rates = Rates()
    rates.add(said(1.0, 100, "a"))
    rates.add(said(2.0, 500, "b"))
    assert rates.rows["backends"][0]["total_per_s"] == 0
    assert rates.past("backends", "web/a", "total") == ()


def test_a_count_that_fell_is_a_new_service_and_no_negative_rate() -> None:
    rates = Rates()
    rates.add(said(1.0, 100, "a"))
    rates.add(said(2.0, 3, "a"))
    assert rates.rows["backends"][0]["total_per_s"] == 0


def test_the_past_is_bounded() -> None:
    rates = Rates()
    for second in range(KEPT + 9):
        rates.add(said(float(second), second, "a"))
    assert len(rates.past("totals", "", "accepted")) == KEPT


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (1, "1"), (0.25, "0.2"), (12.34, "12.3"), (99.96, "100"), (999, "999"),
        (999.7, "1.0k"), (1_000, "1.0k"), (12_345, "12.3k"), (123_456, "123k"),
        (999_999, "1.0M"), (1e9, "1.0G"), (123e9, "123G"),
    ],
)  # fmt: skip
def test_amounts_are_short(value: float, text: str) -> None:
    assert amount(value) == text


@given(st.lists(st.floats(0, 1e12), max_size=50), st.integers(1, 30))
def test_bars_are_as_many_as_fit_and_the_greatest_is_whole(values: list[float], width: int) -> None:
    drawn = bars(values, width)
    assert len(drawn) == min(len(values), width)
    assert set(drawn) <= set(BARS)
    shown = values[-width:]
    if max(shown, default=0) > 0:
        assert drawn[shown.index(max(shown))] == BARS[-1]


@pytest.mark.parametrize(
    ("counts", "share", "bound"),
    [
        ([0, 0, 0], 0.5, None),
        ([1, 0, 0], 0.5, 0.01),
        ([50, 49, 1], 0.99, 0.02),
        ([0, 0, 7], 0.5, 0.02),
        ([1, 1, 1], 1.0, 0.02),
    ],
)
def test_a_quantile_is_the_bound_of_its_bucket(
    counts: list[int], share: float, bound: float | None
) -> None:
    assert quantile([10, 20], counts, share) == bound


def test_latency_is_of_the_sessions_between_two_samples() -> None:
    rates = Rates()

    def told(counts: list[int]) -> dict[str, Any]:
        latency = {"bounds_us": [10, 20], "counts": {"connect": counts}}
        return {**dict.fromkeys(TOTAL_COUNTS, 0), "latency": latency}

    rates.add(Sample(1.0, {}, told([1000, 0, 0]), [], []))
    rates.add(Sample(2.0, {}, told([1000, 10, 0]), [], []))
    assert rates.latency_ms == {"connect": (0.02, 0.02)}
    rates.add(Sample(3.0, {}, told([1000, 10, 0]), [], []))
    assert rates.latency_ms == {"connect": (None, None)}
