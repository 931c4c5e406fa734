"""Exact servers of all kinds in a process of their own, run as a script; `Servers` controls it.

The only argument is JSON: {fd, servers: [{name, kind, port or path}], cert, key}. The kinds are:
plain; tls; proxy, which expects a PROXY header of version 2; udp, which echoes. Each line on the
socket `fd` is answered with the events since the last one: {wrong, short}. short has [seed, manner,
begun, ended] of each conversation with an honest client that ended early, with times of the
monotonic clock. The process ends when that socket is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[4]))

from tests.e2e.harness.chaos.talk import HEAD_SIZE, Head
from tests.e2e.harness.datagrams import LARGEST, enlarge
from tests.e2e.harness.soak import serving

PART = 65536
PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n"
TURN = 2000  # datagrams that one server answers before the others have their turn
FOE_S = 20.0  # time that a hostile client may keep a server waiting


class Told:
    """The events since the last question."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.short: list[tuple[int, str, float, float]] = []

    def take(self) -> dict[str, Any]:
        told = dict(vars(self))
        self.__init__()  # type: ignore[misc]
        return told


class ShortError(Exception):
    """The connection ended cleanly before all bytes had come."""


async def check(reader: asyncio.StreamReader, head: Head) -> None:
    stream, got = head.upstream(), 0
    while got < head.up:
        data = await reader.read(PART)
        if not data:
            raise ShortError
        stream.check(got, data)
        got += len(data)


async def read_proxy(reader: asyncio.StreamReader) -> int:
    """Returns the client's port in the PROXY header."""
    start = await reader.readexactly(16)
    if not start.startswith(PROXY_V2):
        raise ValueError(f"no PROXY header: {start!r}")
    rest = await reader.readexactly(int.from_bytes(start[14:16], "big"))
    return int.from_bytes(rest[8:10], "big") if start[13] >> 4 == 1 else 0


class Server:
    """Serves connections of one kind."""

    def __init__(self, told: Told, kind: str) -> None:
        self.told, self.kind = told, kind

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._converse(reader, writer)
        except (OSError, ssl.SSLError, EOFError, ValueError, TimeoutError, asyncio.CancelledError):
            pass  # no complete head came: a health check, or a hostile client
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun = time.monotonic()
        port = await read_proxy(reader) if self.kind == "proxy" else 0
        head = Head.parse(await reader.readexactly(HEAD_SIZE))
        if head is None:
            await reader.read()
            return
        answers = serving.send(writer, head.downstream(), PART, head.rest_ms)
        both = asyncio.gather(check(reader, head), answers)
        if not head.is_friend:
            await asyncio.wait_for(both, FOE_S)
            return
        if self.kind == "proxy" and port != head.port:
            self.told.wrong.append(f"the header told port {port}, the client {head.port}")
        try:
            await both
        except AssertionError as error:
            self.told.wrong.append(f"{self.kind}, seed {head.seed}: {error}")
        except (OSError, ssl.SSLError, ShortError) as error:
            manner = "short" if isinstance(error, ShortError) else "reset"
            self.told.short.append((head.seed, manner, begun, time.monotonic()))
        finally:
            both.cancel()


class Echo:
    """Sends back all datagrams that wait, each time that its socket is readable.

    why not asyncio's endpoint: it takes one datagram in each turn of the event loop. On a busy
    machine a flood then keeps the kernel's queue full. The flood's small datagrams take each gap in
    it, and a large datagram of an honest client never finds room.
    """

    def __init__(self, port: int) -> None:
        """port: 0 for any."""
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        enlarge(self.sock)
        self.sock.bind(("127.0.0.1", port))

    def answer(self) -> None:
        """Sends back what waits, at most TURN datagrams."""
        for _ in range(TURN):
            try:
                data, peer = self.sock.recvfrom(LARGEST)
            except BlockingIOError:
                return
            with contextlib.suppress(OSError):  # its client may be gone
                self.sock.sendto(data, peer)


async def start(told: Told, spec: dict[str, Any], context: ssl.SSLContext) -> None:
    """Starts one server."""
    server = Server(told, spec["kind"])
    if spec["kind"] == "udp":
        echo = Echo(spec["port"])
        asyncio.get_running_loop().add_reader(echo.sock, echo.answer)
    elif "path" in spec:
        await asyncio.start_unix_server(server.serve, spec["path"], backlog=4096)
    else:
        secure = context if spec["kind"] == "tls" else None
        await asyncio.start_server(
            server.serve, "127.0.0.1", spec["port"], ssl=secure, backlog=4096
        )


async def main(spec: dict[str, Any]) -> None:
    """Serves until the test process closes its end."""
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(spec["cert"], spec["key"])
    told = Told()
    for server in spec["servers"]:
        await start(told, server, context)
    await serving.report(socket.socket(fileno=spec["fd"]), {}, told.take)


if __name__ == "__main__":
    asyncio.run(main(serving.begin()))
