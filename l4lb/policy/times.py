"""Windows of time in a week: "mon-fri 08:00-19:00, sat 10:00-12:00". Pure.

A window is a span of the local clock: a moment is in it if the clock on the wall shows a day and an
hour of the window. Where daylight saving begins, the clock skips an hour, and a window in that hour
is left out. Where it ends, the clock shows an hour twice, and both are in the window. Moments are
seconds since 1970, as time.time() gives them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TEXT_MAX = 1_000  # characters of one text
WINDOWS_MAX = 64  # spans of hours in one text
DAY_S = 86_400
WEEK_S = 7 * DAY_S
EPOCH_DAY = 3  # 1970 began on a Thursday
# A window that daylight saving leaves out comes a week later.
LOOK_S = 3 * WEEK_S
SPAN = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)")

Offset = Callable[[float], int]
"""Seconds by which the local clock is ahead of UTC at a moment."""


class TimesError(ValueError):
    """A text that does not describe windows; its message says why."""


def local_offset(at: float) -> int:
    """The offset of this host's time zone."""
    return time.localtime(at).tm_gmtoff


@dataclass(frozen=True)
class Times:
    """Windows as spans of seconds since Monday 00:00 of the local clock: [first, end), in order,
    without overlaps. A window over the end of the week is two spans."""

    spans: tuple[tuple[int, int], ...]
    offset: Offset = field(default=local_offset, compare=False, repr=False)

    def is_in(self, at: float) -> bool:
        """True if a moment is in one of the windows."""
        shown = self._shown(at)
        return any(first <= shown < end for first, end in self.spans)

    def next_change(self, at: float) -> float | None:
        """Returns the first moment after `at` at which is_in has another value; None if it never
        changes."""
        now = self.is_in(at)
        moment = at
        while moment < at + LOOK_S:
            moment = self._next_edge(moment)
            if self.is_in(moment) != now:
                return moment
        return None

    def _shown(self, at: float) -> float:
        """Returns what the local clock shows, as seconds since Monday 00:00."""
        return (at + self.offset(at) + EPOCH_DAY * DAY_S) % WEEK_S

    def _next_edge(self, at: float) -> float:
        """Returns the next moment at which a span may begin or end: when the clock shows so, when
        the clock is changed, or a day later."""
        shown = self._shown(at)
        edges = [edge for span in self.spans for edge in span if edge > shown]
        # An edge is a whole second; sums of fractions may miss it by a little.
        edge = float(round(at + min(min(edges, default=WEEK_S) - shown, DAY_S)))
        return edge if self.offset(at) == self.offset(edge) else self._clock_change(at, edge)

    def _clock_change(self, low: float, high: float) -> float:
        """Returns the whole second at which the offset differs from that at low for the first
        time."""
        before = self.offset(low)
        first, last = int(low // 1), int(-(-high // 1))
        while last - first > 1:
            middle = (first + last) // 2
            if self.offset(middle) == before:
                first = middle
            else:
                last = middle
        return float(last)


def parse(text: str, offset: Offset = local_offset) -> Times:
    """Reads windows separated by commas. Each has days ("mon", "mon-fri", "sat-mon") and one or
    more spans of hours ("08:00-12:00 13:00-17:00"); "22:00-06:00" ends on the next day, and "24:00"
    is the end of a day. Raises TimesError."""
    if len(text) > TEXT_MAX:
        raise TimesError(f"is longer than {TEXT_MAX} characters")
    spans: list[tuple[int, int]] = []
    windows = 0
    for part in text.lower().split(","):
        words = part.split()
        if len(words) < 2:
            raise TimesError(f"{part.strip()!r} needs days and hours, such as mon-fri 08:00-19:00")
        days = _days(words[0])
        windows += len(words) - 1
        for word in words[1:]:
            begin, length = _hours(word)
            spans += [(day * DAY_S + begin, day * DAY_S + begin + length) for day in days]
    if windows > WINDOWS_MAX:
        raise TimesError(f"has more than {WINDOWS_MAX} windows")
    return Times(_joined(spans), offset)


def _days(word: str) -> list[int]:
    first, dash, last = word.partition("-")
    for name in (first, last) if dash else (first,):
        if name not in DAYS:
            raise TimesError(
                f"{name!r} is no day: write {', '.join(DAYS)}, or two with a - between"
            )
    begin = DAYS.index(first)
    count = (DAYS.index(last) - begin) % len(DAYS) + 1 if dash else 1
    return [(begin + step) % len(DAYS) for step in range(count)]


def _hours(word: str) -> tuple[int, int]:
    """Returns where a span of hours begins in its day, and its length, in seconds."""
    found = SPAN.fullmatch(word, 0)
    if found is None or not word.isascii():
        raise TimesError(f"{word!r} is no span of hours, such as 08:00-19:00")
    hours = [int(digits) for digits in found.groups()]
    begin, end = (hours[at] * 60 + hours[at + 1] for at in (0, 2))
    if begin >= 24 * 60 or end > 24 * 60 or hours[1] > 59 or hours[3] > 59:
        raise TimesError(f"{word!r} has an hour that no clock shows")
    if begin == end:
        raise TimesError(f"{word!r} is empty: write 00:00-24:00 for a whole day")
    return begin * 60, (end - begin) % (24 * 60) * 60 or DAY_S


def _joined(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Returns spans within one week, in order, without overlaps."""
    cut = [part for first, end in spans for part in ((first, min(end, WEEK_S)), (0, end - WEEK_S))]
    found: list[tuple[int, int]] = []
    for first, end in sorted(one for one in cut if one[1] > one[0]):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((first, end))
    return tuple(found)
