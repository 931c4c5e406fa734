"""Recent events, and the clients that follow them.

A follower has a place in the sequence of events, not a queue of its own. A follower that does not
read therefore costs no memory, and learns how many events it missed.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

EVENTS_KEPT = 512

Event = Mapping[str, Any]


class Events:
    """The last EVENTS_KEPT events, in the order in which they were reported."""

    def __init__(self) -> None:
        self._kept: deque[dict[str, Any]] = deque(maxlen=EVENTS_KEPT)
        self._told = 0  # events since the start
        self._news = asyncio.Event()

    def append(self, event: Event) -> None:
        self._kept.append(dict(event))
        self._told += 1
        self._news.set()
        self._news = asyncio.Event()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    async def follow(self) -> AsyncIterator[list[dict[str, Any]]]:
        """Yields the events that are kept, then each batch of new ones, without end."""
        seen = self._told
        yield list(self._kept)
        while True:
            while self._told == seen:
                await self._news.wait()
            new = self._told - seen
            seen = self._told
            missed = max(0, new - len(self._kept))
            batch = list(itertools.islice(self._kept, len(self._kept) - (new - missed), None))
            yield [{"kind": "events_missed", "count": missed}, *batch] if missed else batch
