"""Finds backends in a file, which is watched and read again when something changes near it.

The file's folder is watched, and the folder of the file that a symbolic link leads to, so a
replaced file (by a rename, by a symbolic link) is noticed. The file is also looked at each
interval, because not every file system reports changes, and a host has a limited number of watches.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import anyio.to_thread
import watchfiles

from l4lb.config.tables.discovery import Discovery
from l4lb.discovery import entries, files
from l4lb.discovery.types import (
    ANSWER_BYTES_MAX,
    MS,
    REAL_CLOCK,
    Answer,
    Clock,
    DiscoveryError,
    Member,
)

DEBOUNCE_MS = 50  # changes closer together than this count as one
SETTLE_S = 0.05
SETTLE_TRIES = 10  # how many times, SETTLE_S apart, an incomplete file is read again
WATCHES_MAX = 4_096  # threads that wait for changes, one for each watch

Places = tuple[tuple[str, int, int], ...]  # watched folders, each with its identity now


class File:
    """Follows one file."""

    def __init__(self, settings: Discovery, clock: Clock = REAL_CLOCK) -> None:
        self._clock = clock
        self._path = settings.path or ""
        self._interval_s = settings.interval_ms / MS
        self._timeout_s = settings.timeout_ms / MS
        self._aside = files.Aside()
        self._content: bytes | None = None
        self._said = Answer(())

    async def follow(self, _: Sequence[Member]) -> AsyncGenerator[Answer | DiscoveryError, None]:
        watch = _Watch(self._clock, self._interval_s)
        try:
            while True:
                # The watch begins before the look, so a change between the two is noticed.
                watch.over(await self._aside.run(self._places, self._timeout_s))
                await asyncio.sleep(0)
                yield await self._look()
                await watch.change()
        finally:
            await watch.close()

    def _places(self) -> Places:
        """Returns the folders to watch. Raises DiscoveryError."""
        own = os.path.dirname(self._path)
        if not os.path.isdir(own):
            raise DiscoveryError(f"there is no folder {own}")
        found = []
        for folder in dict.fromkeys((own, os.path.dirname(os.path.realpath(self._path)))):
            with contextlib.suppress(OSError):
                now = os.stat(folder)
                found.append((folder, now.st_dev, now.st_ino))
        return tuple(found)

    async def _look(self) -> Answer:
        """Returns the contents of the file; it is parsed again only when it has changed."""
        for _ in range(SETTLE_TRIES):
            content = await self._aside.run(
                lambda: files.read(self._path, ANSWER_BYTES_MAX + 1), self._timeout_s
            )
            if content == self._content:
                return self._said
            try:
                said = _parsed(self._path, content)
            except DiscoveryError as error:
                fault = error
                await self._clock.sleep(SETTLE_S)
                continue
            self._content, self._said = content, said
            return said
        raise DiscoveryError(f"{self._path}: {fault}")


class _Watch:
    """Waits for changes in some folders, each time no longer than the interval."""

    def __init__(self, clock: Clock, interval_s: float) -> None:
        self._clock = clock
        self._interval_s = interval_s
        self._places: Places = ()
        self._next: asyncio.Future[Any] | None = None
        self._stop = anyio.Event()

    def over(self, places: Places) -> None:
        """Watches these folders from now on; the watch begins with the event loop's next
        iteration."""
        if places == self._places:
            return
        self._end()
        self._places, self._stop = places, anyio.Event()
        # why: each watch waits in a thread, and by default this library runs at most 40.
        anyio.to_thread.current_default_thread_limiter().total_tokens = WATCHES_MAX
        self._events = watchfiles.awatch(
            *(folder for folder, _, _ in places),
            watch_filter=None,
            recursive=False,
            debounce=DEBOUNCE_MS,
            step=min(DEBOUNCE_MS, 10),
            rust_timeout=int(self._interval_s * MS),
            yield_on_timeout=True,
            stop_event=self._stop,
        )
        self._next = asyncio.ensure_future(anext(self._events))

    async def change(self) -> None:
        """Returns when something has happened, or the interval is over."""
        try:
            assert self._next is not None
            await self._next
        except (OSError, RuntimeError, StopAsyncIteration):
            # The host has no more watches, or a folder is gone: only the interval's look is left.
            await self._clock.sleep(self._interval_s)
            self._places = ()
        else:
            self._next = asyncio.ensure_future(anext(self._events))

    def _end(self) -> None:
        self._stop.set()
        if self._next is not None:
            self._next.cancel()

    async def close(self) -> None:
        self._end()
        if self._next is not None:
            await asyncio.gather(self._next, return_exceptions=True)
            await self._events.aclose()


def _parsed(path: str, content: bytes) -> Answer:
    return entries.of_toml(content) if path.endswith(".toml") else entries.of_json(content)
