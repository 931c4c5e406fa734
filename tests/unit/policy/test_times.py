"""Windows of time: what is read, what is refused, and when a window opens and closes."""

from __future__ import annotations

import datetime
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.policy.times import DAYS, Offset, TimesError, local_offset, parse

ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca")
HOUR_S = 3_600


def offset_of(zone: str) -> Offset:
    info = zoneinfo.ZoneInfo(zone)

    def offset(at: float) -> int:
        shift = datetime.datetime.fromtimestamp(at, info).utcoffset()
        assert shift is not None
        return int(shift.total_seconds())

    return offset


def at(text: str, zone: str = "Europe/Berlin") -> float:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=zoneinfo.ZoneInfo(zone)).timestamp()


BERLIN = offset_of("Europe/Berlin")
OFFICE = parse("mon-fri 08:00-19:00, sat 10:00-12:00", BERLIN)


@pytest.mark.parametrize(
    ("moment", "is_in"),
    [
        ("2026-11-30 07:59:59", False),
        ("2026-11-30 08:00", True),
        ("2026-11-30 18:59:59", True),
        ("2026-11-30 19:00", False),
        ("2026-12-05 10:00", True),
        ("2026-12-05 08:30", False),
        ("2026-12-06 11:00", False),
    ],
)
def test_a_moment_is_in_a_window_by_the_local_clock(moment: str, is_in: bool) -> None:
    assert OFFICE.is_in(at(moment)) is is_in


def test_the_next_change_is_the_next_begin_or_end() -> None:
    assert OFFICE.next_change(at("2026-11-30 12:00")) == at("2026-11-30 19:00")
    assert OFFICE.next_change(at("2026-11-30 19:00")) == at("2026-12-01 08:00")
    assert OFFICE.next_change(at("2026-12-05 12:00")) == at("2026-12-07 08:00")


def test_what_is_always_or_never_left_has_no_next_change() -> None:
    assert parse("mon-sun 00:00-24:00", BERLIN).next_change(at("2026-11-30 12:00")) is None
    assert parse("fri-thu 09:00-09:01 09:01-09:00", BERLIN).next_change(0.5) is None


def test_a_window_may_cross_midnight_and_the_end_of_the_week() -> None:
    night = parse("sun 22:00-06:00", BERLIN)
    assert night.is_in(at("2026-11-29 23:00"))
    assert night.is_in(at("2026-11-30 05:59"))
    assert not night.is_in(at("2026-11-30 06:00"))
    assert night.next_change(at("2026-11-29 23:00")) == at("2026-11-30 06:00")
    assert parse("sat-mon 01:00-02:00").spans == parse("sat 01:00-02:00, sun-mon 01:00-02:00").spans


def test_a_window_in_the_hour_that_daylight_saving_skips_is_left_out() -> None:
    skipped = parse("sun 02:15-02:45", BERLIN)
    assert skipped.next_change(at("2026-03-28 12:00")) == at("2026-04-05 02:15")
    across = parse("sun 01:30-02:30", BERLIN)
    assert across.next_change(at("2026-03-29 01:45")) == at("2026-03-29 03:00")


def test_a_window_in_the_hour_that_comes_twice_opens_twice() -> None:
    twice = parse("sun 02:15-02:45", BERLIN)
    first = twice.next_change(at("2026-10-25 00:00"))
    moments = [first]
    while len(moments) < 4 and moments[-1] is not None:
        moments.append(twice.next_change(moments[-1]))
    assert first == at("2026-10-25 02:15")
    assert moments == [first, first + 1800, first + HOUR_S, first + HOUR_S + 1800]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "needs days and hours"),
        ("mon", "needs days and hours"),
        ("mon, tue 08:00-09:00", "'mon' needs days and hours"),
        ("08:00-09:00", "needs days and hours"),
        ("monday 08:00-09:00", "'monday' is no day"),
        ("mon- 08:00-09:00", "'' is no day"),
        ("mon 8:00-9:00", "'8:00-9:00' is no span"),
        ("mon 08:00", "is no span"),
        ("mon 08:00-24:01", "no clock shows"),
        ("mon 24:00-25:00", "no clock shows"),
        ("mon 08:60-09:00", "no clock shows"),
        ("mon 08:00-08:00", "is empty"),
        ("mon ٠٨:00-09:00", "is no span"),
        ("mon 08:00-09:00,", "needs days and hours"),
        ("mon 08:00-09:00" + " 08:00-09:00" * 70, "more than 64"),
        ("x" * 1001, "longer than 1000"),
    ],
)
def test_what_is_no_window_is_refused_with_a_reason(text: str, why: str) -> None:
    with pytest.raises(TimesError, match=why):
        parse(text)


clocks = st.integers(0, 24 * 60 - 1).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
hours = st.tuples(clocks, clocks | st.just("24:00")).filter(lambda two: two[0] != two[1])
days = st.sampled_from([*DAYS, "mon-fri", "sat-sun", "fri-tue", "mon-sun"])
parts = st.tuples(days, hours).map(lambda one: f"{one[0]} {one[1][0]}-{one[1][1]}")
texts = st.lists(parts, min_size=1, max_size=4).map(", ".join)
# Around the changes of daylight saving of 2026 as often as at any time.
moments = st.floats(1.7e9, 1.9e9) | st.builds(
    lambda base, shift: base + shift,
    st.sampled_from([at("2026-03-29 00:00"), at("2026-10-25 00:00"), at("2026-11-01 00:00")]),
    st.integers(-2 * 86_400, 2 * 86_400),
)


def naive_is_in(text: str, moment: float, zone: str) -> bool:
    """Asks the calendar about today's windows, and yesterday's that cross midnight."""
    local = datetime.datetime.fromtimestamp(moment, zoneinfo.ZoneInfo(zone))
    minute = (local.hour * 60 + local.minute) * 60 + local.second + local.microsecond / 1e6
    for part in text.split(", "):
        names, span = part.split()
        first, _, last = names.partition("-")
        begin, end = ((int(one[:2]) * 60 + int(one[3:])) * 60 for one in span.split("-"))
        for back in (0, 1):
            day = (local.weekday() - back) % 7
            ordered = (DAYS * 2)[DAYS.index(first) :]
            among = ordered[: ordered.index(last or first) + 1]
            shown = minute + back * 86_400
            if DAYS[day] in among and begin <= shown < (end if end > begin else end + 86_400):
                return True
    return False


@given(texts, moments, st.sampled_from(ZONES))
def test_windows_are_those_of_a_naive_twin(text: str, moment: float, zone: str) -> None:
    assert parse(text, offset_of(zone)).is_in(moment) == naive_is_in(text, moment, zone)


@given(texts, moments, st.sampled_from(ZONES), st.lists(st.floats(0, 0.999_999), max_size=8))
def test_nothing_changes_before_the_next_change(
    text: str, moment: float, zone: str, parts: list[float]
) -> None:
    times = parse(text, offset_of(zone))
    now, change = times.is_in(moment), times.next_change(moment)
    until = moment + 30 * 86_400 if change is None else change
    assert until > moment
    for part in [*parts, 0.999_999_9]:
        between = moment + (until - moment) * part
        assert times.is_in(between) == now
    if change is not None:
        assert times.is_in(change) != now


def test_the_hosts_own_zone_is_the_default() -> None:
    assert abs(local_offset(0.0)) <= 16 * HOUR_S
    assert parse("mon 08:00-09:00").offset is local_offset
