"""Which row of a table of fixed size has each key. Pure: what is idle is asked.

A key that goes leaves its row behind: the row still names it, sessions that came by it go on, and
the key gets the same row, with its counts, when it comes back. A row is given to another key only
when no fresh one is left, the one gone for longest first, and only if it is idle.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class FullError(Exception):
    """There is no row left for a key."""


class RowAllocator(Generic[Key]):
    """The rows 0 to size - 1. is_idle: has nothing that needs this row's old key? recycle: called
    before a row is given to another key."""

    def __init__(
        self, size: int, *, is_idle: Callable[[int], bool], recycle: Callable[[int], None]
    ) -> None:
        self._size = size
        self._is_idle = is_idle
        self._recycle = recycle
        self._live: dict[Key, int] = {}
        self._gone: dict[Key, int] = {}  # the one gone for longest first
        self._fresh = 0

    def __getitem__(self, key: Key) -> int:
        """The row of a key that has one."""
        return self._live[key]

    def __contains__(self, key: object) -> bool:
        return key in self._live

    @property
    def live(self) -> Mapping[Key, int]:
        return self._live

    @property
    def gone(self) -> Mapping[Key, int]:
        return self._gone

    def take(self, key: Key) -> tuple[int, bool]:
        """A row for a key that has none; True if it is the one it had before. Raises FullError."""
        assert key not in self._live
        if key in self._gone:
            row = self._live[key] = self._gone.pop(key)
            return row, True
        if self._fresh < self._size:
            row, self._fresh = self._fresh, self._fresh + 1
        else:
            row = self._recycled()
        self._live[key] = row
        return row, False

    def _recycled(self) -> int:
        for key, row in self._gone.items():
            if self._is_idle(row):
                del self._gone[key]
                self._recycle(row)
                return row
        raise FullError

    def give(self, key: Key) -> int:
        """The key goes. Returns the row it had."""
        row = self._gone[key] = self._live.pop(key)
        return row

    def has_room(self, keys: Iterable[Key]) -> bool:
        """Could all these keys, which have no row, be given one?"""
        needed = sum(key not in self._gone for key in keys)
        needed -= self._size - self._fresh
        if needed <= 0:
            return True
        return needed <= sum(map(self._is_idle, self._gone.values()))
