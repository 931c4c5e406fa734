"""Backends in a process of their own, run as a script; `Backends` in backends.py controls it.

Requests and answers are JSON lines on a socket pair (its descriptor is the only argument). The
process ends when that socket is closed, so no backend outlives its test.

What a backend does with a connection is its `mode`:
  echo    sends its name and a newline, then everything that it receives, half-close included
  quiet   as echo, without the name
  brief   sends its name, waits `hold_ms`, counts the connection as ended, then closes it
  late    sends its name after `hold_ms`, then does as echo
  silent  reads nothing, sends nothing, keeps the connection
  reset   resets each connection as soon as it is accepted
  picky   resets each connection at its first byte
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import resource
import select
import socket
import struct
import sys
from typing import Any

LINGER_0 = struct.pack("ii", 1, 0)
SO_ATTACH_FILTER = 26  # asm-generic/socket.h; Python has no name for it
_kept: list[Any] = []  # memory whose address the kernel was given


def drop_syns() -> bytes:
    """A filter for a listening socket (struct sock_fprog) that drops SYNs and nothing else."""
    code = [
        (0x30, 0, 0, 13),
        (0x54, 0, 0, 0x12),
        (0x15, 0, 1, 0x02),
        (6, 0, 0, 0),
        (6, 0, 0, 65535),
    ]
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in code)
    _kept.append(ctypes.create_string_buffer(program))
    return struct.pack("HP", len(code), ctypes.addressof(_kept[-1]))


class Backend:
    """One listening address, and counts of its connections."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.name: str = spec["name"]
        self.mode: str = spec["mode"]
        self.hold_s: float = spec["hold_ms"] / 1000
        self.address: Any = spec["address"]
        self.server: asyncio.Server | None = None
        self.live: set[Peer] = set()
        self.accepted = self.ended = self.active = self.peak = 0

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        if isinstance(self.address, str):
            self.server = await loop.create_unix_server(
                lambda: Peer(self), self.address, backlog=4096
            )
            return
        family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(tuple(self.address))
        self.server = await loop.create_server(lambda: Peer(self), sock=listener, backlog=4096)
        self.listener = listener

    async def stop(self) -> None:
        """Refuses connections from now on. Connections that the kernel has accepted are accepted
        first: closing the socket would reset them, and no test here is about sessions with a
        stopping server."""
        if self.server:
            self.listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, drop_syns())
            while select.select([self.listener], [], [], 0)[0]:
                await asyncio.sleep(0.001)
            # why: asyncio makes the transport of an accepted connection some turns of its loop
            # later. It drops the connection if the server was closed by then.
            for _ in range(5):
                await asyncio.sleep(0)
            self.server.close()
            self.server = None

    def drop(self) -> None:
        for peer in list(self.live):
            peer.reset()

    def counts(self) -> dict[str, int]:
        return {
            "accepted": self.accepted,
            "ended": self.ended,
            "active": self.active,
            "peak": self.peak,
        }


class Peer(asyncio.Protocol):
    """One connection of a backend."""

    transport: asyncio.Transport

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.counted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        backend = self.backend
        self.counted = True
        backend.accepted += 1
        backend.active += 1
        backend.peak = max(backend.peak, backend.active)
        backend.live.add(self)
        if backend.mode in ("echo", "brief"):
            transport.write(f"{backend.name}\n".encode())
        if backend.mode == "late":
            name = f"{backend.name}\n".encode()
            asyncio.get_running_loop().call_later(backend.hold_s, transport.write, name)
        if backend.mode == "brief":
            asyncio.get_running_loop().call_later(backend.hold_s, self.finish)
        elif backend.mode == "silent":
            transport.pause_reading()
        elif backend.mode == "reset":
            self.reset()

    def data_received(self, data: bytes) -> None:
        if self.backend.mode in ("echo", "quiet", "late"):
            self.transport.write(data)
        elif self.backend.mode == "picky":
            self.reset()

    def eof_received(self) -> bool:
        if self.transport.can_write_eof():
            self.transport.write_eof()
        return False

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()

    def reset(self) -> None:
        peer = self.transport.get_extra_info("socket")
        if peer.family != socket.AF_UNIX:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
        self.transport.abort()

    def finish(self) -> None:
        """The backend ends the connection: first in its count, then on the wire."""
        self.uncount()
        self.transport.close()

    def uncount(self) -> None:
        if self.counted:
            self.counted = False
            self.backend.active -= 1
            self.backend.ended += 1

    def connection_lost(self, _error: Exception | None) -> None:
        self.uncount()
        self.backend.live.discard(self)


async def obey(backends: dict[str, Backend], request: dict[str, Any]) -> Any:
    """Carries out one request."""
    what = request["do"]
    if what == "add":
        backend = backends[request["name"]] = Backend(request)
        await backend.start()
        return None
    if what == "counts":
        return {name: backend.counts() for name, backend in backends.items()}
    backend = backends[request["name"]]
    if what == "start":
        await backend.start()
    elif what == "stop":
        await backend.stop()
    elif what == "drop":
        backend.drop()
    elif what == "mode":
        backend.mode = request["mode"]
    return None


async def main(reins: socket.socket) -> None:
    """Serves requests until the test process closes its end."""
    backends: dict[str, Backend] = {}
    reader, writer = await asyncio.open_unix_connection(sock=reins)
    while line := await reader.readline():
        try:
            answer = {"ok": await obey(backends, json.loads(line))}
        except OSError as error:
            answer = {"error": str(error)}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(main(socket.socket(fileno=int(sys.argv[1]))))
