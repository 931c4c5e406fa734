"""The schedule of checks. Pure: the time and the random number are arguments.

The rate is fixed: the next start is one interval after this one was due, less the jitter, not after
it ended. Jitter only shortens, so no interval is longer than configured. First starts are spread
over an interval. After a stop (the process was suspended) late checks are spread over as long a
time as they are late, which avoids a burst.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
LATE_MS = 1_000  # a check later than this, or than its interval, shows that the process was stopped


class Schedule(Generic[Key]):
    """A set of keys, each with an interval. Times are milliseconds of one clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Key]] = []
        self._current: dict[Key, int] = {}  # number of a key's one valid entry in the heap
        self._numbers = 0

    def __contains__(self, key: Key) -> bool:
        return key in self._current

    def put(self, key: Key, due_ms: float) -> None:
        """Makes key due at due_ms, in place of an earlier time."""
        self._numbers += 1
        self._current[key] = self._numbers
        heapq.heappush(self._heap, (due_ms, self._numbers, key))

    def add(self, key: Key, now_ms: float, interval_ms: int, chance: float) -> None:
        """Adds a new key. chance (0 to 1) selects its time in the coming interval."""
        self.put(key, now_ms + interval_ms * chance)

    def again(
        self, key: Key, due_ms: float, now_ms: float, interval_ms: int, jitter: float, chance: float
    ) -> float:
        """Schedules key, which was due at due_ms, one interval later. jitter is the random part of
        the interval, chance (0 to 1) the random number. A key that is late by an interval or more
        is spread again. Returns the time at which it is due."""
        next_ms = due_ms + interval_ms * (1 - jitter * chance)
        if next_ms < now_ms:
            next_ms = now_ms + interval_ms * chance
        self.put(key, next_ms)
        return next_ms

    def postponed(
        self, key: Key, due_ms: float, now_ms: float, interval_ms: int, chance: float
    ) -> bool:
        """Schedules again a key that was taken so late that this process must have been stopped:
        within as long a time as it is late. Returns False if the key is on time."""
        late_ms = now_ms - due_ms
        if late_ms <= min(interval_ms, LATE_MS):
            return False
        self.put(key, now_ms + min(late_ms, interval_ms) * chance)
        return True

    def drop(self, key: Key) -> None:
        self._current.pop(key, None)

    def take(self, now_ms: float) -> tuple[Key, float] | None:
        """Takes a key that is due out of the schedule; returns it with the time at which it was
        due."""
        self._forget_stale()
        if not self._heap or self._heap[0][0] > now_ms:
            return None
        due_ms, _, key = heapq.heappop(self._heap)
        del self._current[key]
        return key, due_ms

    def next_ms(self) -> float | None:
        """Returns the time at which the next key is due; None if there is none."""
        self._forget_stale()
        return self._heap[0][0] if self._heap else None

    def _forget_stale(self) -> None:
        while self._heap and self._current.get(self._heap[0][2]) != self._heap[0][1]:
            heapq.heappop(self._heap)
