"""Backends from etcd (version 3, by its JSON gateway): each value below a prefix is a backend.

A watch tells that something changed; what there is then is read as a whole, so no order of events
can lead to a wrong set.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import aiohttp

from l4lb.config.tables.discovery import Discovery
from l4lb.config.units import shown
from l4lb.discovery import entries, web
from l4lb.discovery.types import MEMBERS_MAX, MS, DiscoveryError, Member

SERVER = "http://127.0.0.1:2379"
SETTLE_S = 0.05  # changes closer together than this are read once


def _b64(text: bytes) -> str:
    return base64.b64encode(text).decode()


def range_end(prefix: bytes) -> bytes:
    """The first key after all that begin with prefix; a NUL byte where there is none."""
    for end in range(len(prefix), 0, -1):
        if prefix[end - 1] < 0xFF:
            return prefix[: end - 1] + bytes([prefix[end - 1] + 1])
    return b"\0"


class Etcd:
    """Follows one prefix."""

    def __init__(self, settings: Discovery) -> None:
        self._settings = settings
        self._server = (settings.url or SERVER).rstrip("/")
        prefix = (settings.prefix or "").encode()
        self._keys = {"key": _b64(prefix), "range_end": _b64(range_end(prefix))}

    async def follow(self) -> AsyncGenerator[list[Member], None]:
        async with web.session() as client:
            while True:
                members, revision = await self._read(client)
                yield members
                await self._change(client, revision + 1)
                await asyncio.sleep(SETTLE_S)

    async def _read(self, client: aiohttp.ClientSession) -> tuple[list[Member], int]:
        timeout_s = self._settings.timeout_ms / MS
        async with web.request(
            client, "POST", f"{self._server}/v3/kv/range", timeout_s=timeout_s,
            connect_timeout_s=timeout_s, headers=self._headers(),
            json=self._keys | {"limit": MEMBERS_MAX + 1},
        ) as answer:  # fmt: skip
            return values(await web.body(answer))

    async def _change(self, client: aiohttp.ClientSession, revision: int) -> None:
        """Waits until something below the prefix is another, or the interval is over."""
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
                # A message a line: first that the watch was made, then what happened.
                while line := await answer.content.readline():
                    if _tells_of_change(line):
                        return
                raise DiscoveryError(f"{self._server}: the watch ended")
        except TimeoutError:
            return

    def _headers(self) -> Mapping[str, str]:
        word = web.token(self._settings.token_file)
        return {"Authorization": word} if word else {}


def values(text: bytes) -> tuple[list[Member], int]:
    """The members that an answer of /v3/kv/range names, and its revision. Raises DiscoveryError."""
    try:
        answer = json.loads(text)
        revision = int(answer["header"]["revision"])
        found = [base64.b64decode(one.get("value", "")) for one in answer.get("kvs", ())]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DiscoveryError("not the answer of an etcd server") from error
    return entries.of_data([_entry(one) for one in found]), revision


def _entry(value: bytes) -> Any:
    """A value is an address, or a JSON map with one."""
    try:
        text = value.decode().strip()
        return json.loads(text) if text.startswith(("{", '"')) else text
    except (ValueError, RecursionError) as error:
        raise DiscoveryError(
            f"{shown(value[:60].decode(errors='replace'))} is no backend"
        ) from error


def _tells_of_change(line: bytes) -> bool:
    try:
        result = json.loads(line).get("result", {})
        return bool(result.get("events") or result.get("canceled"))
    except (ValueError, AttributeError, RecursionError) as error:
        raise DiscoveryError("not the answer of an etcd server") from error
