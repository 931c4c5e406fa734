"""Finds backends in etcd (version 3, over its JSON gateway): each value below a prefix is a
backend.

A watch reports that something has changed. Then all values are read, so no order of events can lead
to a wrong set. A watch that ends, or that reports changes without end, causes one more read, within
the pool's rate limit.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import aiohttp
from aiohttp.http import HttpProcessingError

from l4lb.config.tables.discovery import Discovery
from l4lb.config.units import shown
from l4lb.discovery import entries, web
from l4lb.discovery.types import (
    MEMBERS_MAX,
    MS,
    REAL_CLOCK,
    Answer,
    Clock,
    DiscoveryError,
    Member,
)

SERVER = "http://127.0.0.1:2379"
SETTLE_S = 0.05  # changes closer together than this are read once
NOT_ETCD = (
    ValueError,
    TypeError,
    AttributeError,
    RecursionError,
)  # of an answer's plain data
LINES_MAX = 64  # messages of one watch without a change; after them the values are read


def _b64(text: bytes) -> str:
    return base64.b64encode(text).decode()


def range_end(prefix: bytes) -> bytes:
    """Returns the first key after all keys that begin with prefix; a NUL byte if there is none."""
    for end in range(len(prefix), 0, -1):
        if prefix[end - 1] < 0xFF:
            return prefix[: end - 1] + bytes([prefix[end - 1] + 1])
    return b"\0"


class Etcd:
    """Follows one prefix."""

    def __init__(self, settings: Discovery, clock: Clock = REAL_CLOCK) -> None:
        self._clock = clock
        self._settings = settings
        self._server = (settings.url or SERVER).rstrip("/")
        prefix = (settings.prefix or "").encode()
        self._keys = {"key": _b64(prefix), "range_end": _b64(range_end(prefix))}

    async def follow(self, _: Sequence[Member]) -> AsyncGenerator[Answer | DiscoveryError, None]:
        async with web.session() as client:
            while True:
                answer, revision = await self._read(client)
                yield answer
                await self._change(client, revision + 1)
                await self._clock.sleep(SETTLE_S)

    async def _read(self, client: aiohttp.ClientSession) -> tuple[Answer, int]:
        timeout_s = self._settings.timeout_ms / MS
        async with web.request(
            client, "POST", f"{self._server}/v3/kv/range", timeout_s=timeout_s,
            connect_timeout_s=timeout_s, headers=self._headers(),
            json=self._keys | {"limit": MEMBERS_MAX + 1},
        ) as answer:  # fmt: skip
            return values(await web.body(answer))

    async def _change(self, client: aiohttp.ClientSession, revision: int) -> None:
        """Waits until something below the prefix may have changed, or the interval is over."""
        asked = {"create_request": self._keys | {"start_revision": str(revision)}}
        try:
            async with (
                asyncio.timeout(self._settings.interval_ms / MS),
                web.request(
                    client, "POST", f"{self._server}/v3/watch", timeout_s=None,
                    connect_timeout_s=self._settings.timeout_ms / MS, json=asked,
                    headers=self._headers(),
                ) as answer,
            ):  # fmt: skip
                # Each message is a line: first that the watch was made, then changes.
                for _ in range(LINES_MAX):
                    line = await _line(answer)
                    if not line or _tells_of_change(line):
                        return
        except TimeoutError:
            return

    def _headers(self) -> Mapping[str, str]:
        word = web.token(self._settings.token_file)
        return {"Authorization": word} if word else {}


def values(text: bytes) -> tuple[Answer, int]:
    """Returns the members in an answer of /v3/kv/range, and its revision. Raises DiscoveryError."""
    try:
        answer = json.loads(text)
        revision = int(answer["header"]["revision"])
        found = [one.get("value", "") for one in answer.get("kvs", ())]
    except (ArithmeticError, LookupError, *NOT_ETCD) as error:
        raise DiscoveryError("not the answer of an etcd server") from error
    return entries.of_entries([_entry(one) for one in found]), revision


def _entry(said: Any) -> Any:
    """Turns a value into an entry: an address, or a JSON map with one; a DiscoveryError if it is
    neither."""
    value = b""
    try:
        value = base64.b64decode(said)
        text = value.decode().strip()
        return json.loads(text) if text.startswith(("{", '"')) else text
    except (ValueError, TypeError, RecursionError):
        return DiscoveryError(f"{shown(value[:60].decode(errors='replace'))} is no backend")


async def _line(answer: aiohttp.ClientResponse) -> bytes:
    """Returns the next message of a watch; empty at its end, and for a message that is too long,
    which reports many changes."""
    try:
        return await answer.content.readline()
    except (ValueError, HttpProcessingError):
        return b""


def _tells_of_change(line: bytes) -> bool:
    try:
        result = json.loads(line).get("result", {})
        return bool(result.get("events") or result.get("canceled"))
    except NOT_ETCD as error:
        raise DiscoveryError("not the answer of an etcd server") from error
