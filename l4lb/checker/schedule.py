"""When is which check due? Pure: the time and the randomness are arguments.

Fixed rate: the next start is one interval after this one was due, less the jitter, not after it
ended. Jitter only shortens, so that what was promised of an interval holds. First starts are spread
over an interval. After a stop (the process was suspended) what is late is caught up over as long as
it is late: no burst.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
LATE_MS = 1_000  # what is later than this, or than its interval, was not merely kept waiting


class Schedule(Generic[Key]):
    """A set of keys, each with an interval. Times in milliseconds on one clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Key]] = []
        self._current: dict[Key, int] = {}  # the number of a key's one valid place in the heap
        self._numbers = 0

    def __contains__(self, key: Key) -> bool:
        return key in self._current

    def put(self, key: Key, due_ms: float) -> None:
        """(Re)places key to be due then."""
        self._numbers += 1
        self._current[key] = self._numbers
        heapq.heappush(self._heap, (due_ms, self._numbers, key))

    def add(self, key: Key, now_ms: float, interval_ms: int, chance: float) -> None:
        """A new key: due at a place in the coming interval that chance (0 to 1) says."""
        self.put(key, now_ms + interval_ms * chance)

    def again(
        self, key: Key, due_ms: float, now_ms: float, interval_ms: int, jitter: float, chance: float
    ) -> float:
        """key was due at due_ms: due again an interval later. jitter is the part of the interval
        that is random, chance (0 to 1) the draw. One that is late by an interval or more is
        spread anew. Returns when it is due."""
        next_ms = due_ms + interval_ms * (1 - jitter * chance)
        if next_ms < now_ms:
            next_ms = now_ms + interval_ms * chance
        self.put(key, next_ms)
        return next_ms

    def postponed(
        self, key: Key, due_ms: float, now_ms: float, interval_ms: int, chance: float
    ) -> bool:
        """A key that was taken and is so late that this process must have been stopped has another
        place, within as long as it is late. False: it is on time."""
        late_ms = now_ms - due_ms
        if late_ms <= min(interval_ms, LATE_MS):
            return False
        self.put(key, now_ms + min(late_ms, interval_ms) * chance)
        return True

    def drop(self, key: Key) -> None:
        self._current.pop(key, None)

    def take(self, now_ms: float) -> tuple[Key, float] | None:
        """A key that is due, with the time it was due at; it is no longer in the schedule."""
        self._forget_stale()
        if not self._heap or self._heap[0][0] > now_ms:
            return None
        due_ms, _, key = heapq.heappop(self._heap)
        del self._current[key]
        return key, due_ms

    def next_ms(self) -> float | None:
        """When the next key is due; None if there is none."""
        self._forget_stale()
        return self._heap[0][0] if self._heap else None

    def _forget_stale(self) -> None:
        while self._heap and self._current.get(self._heap[0][2]) != self._heap[0][1]:
            heapq.heappop(self._heap)
