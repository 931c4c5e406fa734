"""Values with units for people, and as plain words for scripts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.cli import units


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (0, "0 ms"), (0.25, "0.25 ms"), (9.94, "9.9 ms"), (12.6, "13 ms"), (999.4, "999 ms"),
        (999.7, "1 s"), (1_260, "1.3 s"), (9_940, "9.9 s"), (9_960, "10 s"), (31_000, "31 s"),
        (60_000, "1 min"), (61_000, "61 s"), (119_000, "119 s"), (125_000, "2 min"),
        (3_600_000, "1 h"), (7_100_000, "118 min"), (7_300_000, "2 h"), (86_400_000, "24 h"),
        (200_000_000, "2 days"), (-31_000, "-31 s"),
    ],
)  # fmt: skip
def test_a_time_has_two_or_three_digits_and_a_unit(ms: float, said: str) -> None:
    assert units.duration(ms) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"), (1_023, "1023 B"), (1_024, "1.0 KiB"), (18_140_365, "17.3 MiB"),
        (1_048_524, "1023.9 KiB"), (1_048_575, "1.0 MiB"), (1 << 40, "1.0 TiB"),
        (1 << 63, "8192.0 PiB"),
    ],
)  # fmt: skip
def test_a_size_is_told_in_powers_of_1024(count: int, said: str) -> None:
    assert units.size(count) == said


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("age_ms", 31_000, "31 s"), ("connect_us", 250, "0.25 ms"), ("uptime_s", 0, "0 s"),
        ("uptime_s", 31, "31 s"), ("bytes_in", 18_140_365, "17.3 MiB"), ("moved", 1 / 3, "33.3 %"),
        ("weight_percent", 80, "80 %"), ("certificate_days", 12, "12 days"), ("total", 7, "7"),
        ("left_s", None, "for good"), ("idle_ms", None, "-"), ("stale", True, "yes"),
        ("pid", 123_456, "123456"), ("name", "", "-"), ("effective_weight", 0.3333333, "0.3333"),
        ("checker", {"pid": 5, "heartbeat_age_ms": 300}, "pid 5, heartbeat age 300 ms"),
        ("x", {"text": "it is down", "in_a_row": 3}, "it is down, in a row 3"),
        ("removed", [], "none"), ("removed", ["a", "b"], "a, b"), ("ended", {}, "-"),
    ],
)  # fmt: skip
def test_the_end_of_a_keys_name_is_the_unit_of_its_value(
    key: str, value: object, said: str
) -> None:
    assert units.human(key, value) == said


def test_what_has_its_unit_in_its_value_has_none_in_its_label() -> None:
    labels = [units.label(key) for key in ("age_ms", "in_a_row", "total_per_s", "pass")]
    assert labels == ["age", "in a row", "total per s", "pass"]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.sampled_from(["age_ms", "bytes", "moved", "left_s", "x"]) | st.text(), ANYTHING)
def test_any_value_is_one_printable_line_in_both_forms(key: str, value: object) -> None:
    for said in (units.human(key, value), units.cell(value)):
        assert said
        assert said.isprintable()
