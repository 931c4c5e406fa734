"""Functions of all providers over HTTP: a bounded request, and the texts of its faults."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
from aiohttp.http import HttpProcessingError

from l4lb.discovery import files
from l4lb.discovery.types import ANSWER_BYTES_MAX, DiscoveryError

READ_BYTES = 64 << 10
TOKEN_MAX = 4_096


def session() -> aiohttp.ClientSession:
    """Makes a session without cookies, redirects or compression: sources are programs."""
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(), headers={"User-Agent": "l4lb"}, trust_env=False
    )


def token(path: str | None) -> str:
    """Returns the token in a file, without the space around it; empty without a file."""
    if path is None:
        return ""
    try:
        word = files.read(path, TOKEN_MAX).decode("ascii").strip()
    except (DiscoveryError, ValueError) as error:
        raise DiscoveryError(f"token_file {path} cannot be read") from error
    if not word.isprintable():
        raise DiscoveryError(f"token_file {path} holds no token: one line is needed")
    return word


@contextlib.asynccontextmanager
async def request(
    client: aiohttp.ClientSession,
    method: str,
    url: str,
    *,
    timeout_s: float | None,
    connect_timeout_s: float,
    **more: Any,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Yields an answer whose status is below 400. timeout_s: for the whole answer; None: no limit.
    Raises DiscoveryError."""
    limit = aiohttp.ClientTimeout(total=timeout_s, connect=connect_timeout_s)
    try:
        async with client.request(
            method, url, timeout=limit, allow_redirects=False, **more
        ) as answer:
            if answer.status >= 300 and answer.status != 304:
                raise DiscoveryError(f"{url}: answered with {answer.status}")
            yield answer
    except TimeoutError as error:
        raise DiscoveryError(f"{url}: no answer in time") from error
    except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError, EOFError) as error:
        raise DiscoveryError(f"{url}: {str(error)[:200] or type(error).__name__}") from error


async def body(answer: aiohttp.ClientResponse) -> bytes:
    """Returns the whole answer. Raises DiscoveryError if it is too long."""
    found = bytearray()
    async for data in answer.content.iter_chunked(READ_BYTES):
        found += data
        if len(found) > ANSWER_BYTES_MAX:
            raise DiscoveryError(f"{answer.url}: more than {ANSWER_BYTES_MAX >> 20} MiB")
    return bytes(found)


def bearer(path: str | None) -> Mapping[str, str]:
    """Returns the header with the token, if there is one."""
    word = token(path)
    return {"Authorization": f"Bearer {word}"} if word else {}
