"""What the servers of soaks have in common. They run as scripts (script.py)."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import socket
import sys
from collections.abc import Callable
from typing import Any

from ..bytestream import Stream


def begin() -> dict[str, Any]:
    """Lets this process have many connections, and end them without a word. Returns what the script
    was told."""
    logging.disable()  # asyncio logs each reset
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return dict(json.loads(sys.argv[1]))


async def report(channel: socket.socket, first: dict[str, Any], take: Callable[[], Any]) -> None:
    """Says `first`, and answers each line with what `take` returns. Returns when the test process
    has closed its end."""
    reader, writer = await asyncio.open_unix_connection(sock=channel)
    writer.write(json.dumps(first).encode() + b"\n")
    while await reader.readline():
        writer.write(json.dumps(take()).encode() + b"\n")
        await writer.drain()


async def send(writer: asyncio.StreamWriter, stream: Stream, part_size: int, rest_ms: int) -> None:
    """Sends the whole stream in parts. rest_ms: the pause after each."""
    sent = 0
    while sent < stream.size:
        part = stream.part(sent, part_size)
        writer.write(part)
        await writer.drain()
        sent += len(part)
        if rest_ms:
            await asyncio.sleep(rest_ms / 1000)
