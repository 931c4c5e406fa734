"""Backends from a file: watched, and read again when its content is another.

Its folder is what is watched, so that a file which is replaced (by a rename, by a symbolic link) is
seen; and it is looked at each interval all the same, because not every file system tells.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator

import watchfiles

from l4lb.config.tables.discovery import Discovery
from l4lb.discovery import entries
from l4lb.discovery.types import ANSWER_BYTES_MAX, DiscoveryError, Member

DEBOUNCE_MS = 50  # changes closer together than this are seen as one
SETTLE_S = 0.05
SETTLE_TRIES = 10  # a file that is being written may be half of one for this many times SETTLE_S


class File:
    """Follows one file."""

    def __init__(self, settings: Discovery) -> None:
        self._path = settings.path or ""
        self._interval_ms = settings.interval_ms
        self._hash = b""

    async def follow(self) -> AsyncGenerator[list[Member], None]:
        folder = os.path.dirname(self._path)
        if not os.path.isdir(folder):
            raise DiscoveryError(f"there is no folder {folder}")
        watch = watchfiles.awatch(
            folder,
            recursive=False,
            debounce=DEBOUNCE_MS,
            step=min(DEBOUNCE_MS, 10),
            rust_timeout=self._interval_ms,
            yield_on_timeout=True,
        )
        waiting = asyncio.ensure_future(anext(watch))
        try:
            await asyncio.sleep(0)  # the watch begins before the first look
            while True:
                members = await self._changed()
                if members is not None:
                    yield members
                await waiting
                waiting = asyncio.ensure_future(anext(watch))
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await watch.aclose()

    async def _changed(self) -> list[Member] | None:
        """The members, if the content is another than last time."""
        for _ in range(SETTLE_TRIES):
            content = await asyncio.to_thread(_read, self._path)
            digest = hashlib.blake2b(content).digest()
            if digest == self._hash:
                return None
            try:
                members = _parsed(self._path, content)
            except DiscoveryError as error:
                fault = error
                await asyncio.sleep(SETTLE_S)
                continue
            self._hash = digest
            return members
        raise DiscoveryError(f"{self._path}: {fault}")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(ANSWER_BYTES_MAX + 1)
    except OSError as error:
        raise DiscoveryError(f"{path}: {error.strerror}") from error


def _parsed(path: str, content: bytes) -> list[Member]:
    return entries.of_toml(content) if path.endswith(".toml") else entries.of_json(content)
