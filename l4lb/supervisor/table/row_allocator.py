"""Assigns the rows of a table of fixed size to keys. Pure: the caller says which rows are idle.

A key that is removed keeps its row for a time: the row still has its name, live sessions go on, and
the key gets this row with its counts when it comes back. Another key gets the row only if no unused
row is left, and only if the row is idle. The key that was removed first loses its row first.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class FullError(Exception):
    """There is no row left for a key."""


class RowAllocator(Generic[Key]):
    """The rows 0 to size - 1. is_idle: returns whether nothing needs the row's old key any more.
    recycle: called before a row is given to another key."""

    def __init__(
        self, size: int, *, is_idle: Callable[[int], bool], recycle: Callable[[int], None]
    ) -> None:
        self._size = size
        self._is_idle = is_idle
        self._recycle = recycle
        self._live: dict[Key, int] = {}
        self._gone: dict[Key, int] = {}  # removed keys, oldest first
        self._fresh = 0

    def __getitem__(self, key: Key) -> int:
        """Returns the row of a key that has one."""
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
        """Gives a row to a key without one. Returns the row, and True if the key had this row
        before. Raises FullError."""
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
        """Removes the key. Returns its row."""
        row = self._gone[key] = self._live.pop(key)
        return row

    def has_room(self, keys: Iterable[Key]) -> bool:
        """Returns whether all these keys, which have no row, could get one."""
        needed = sum(key not in self._gone for key in keys)
        needed -= self._size - self._fresh
        if needed <= 0:
            return True
        return needed <= sum(map(self._is_idle, self._gone.values()))
