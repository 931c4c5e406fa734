"""An exact origin, as a process of its own: it reads requests strictly, and answers as each
request's target says (talk.py). A request that is not exactly what its target says is told to the
test process.

    python origin.py '{"fd": 3, "port": 8080}'
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[4]
if str(TOP) not in sys.path:
    sys.path.insert(0, str(TOP))

from tests.e2e.harness.bytestream import Stream  # noqa: E402 - a script of its own
from tests.e2e.harness.http_soak.talk import BEGUN, ENDED, IDLE, UPGRADE, Plan  # noqa: E402
from tests.e2e.harness.soak import serving  # noqa: E402

PIECE = 30_000
LIMIT = 1 << 18
IDLE_S = 0.03  # how long a connection stays open, at most, that closes without a word


class Told:
    """What this origin has seen. journal: a file that has each request's begin and end, also if
    this process is killed."""

    def __init__(self, journal: str) -> None:
        self.wrong: list[str] = []
        self.journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, what: str, method: str, plan: Plan) -> None:
        """Writes a line of the journal."""
        os.write(self.journal, f"{what} {method} {plan.seed}\n".encode())

    def take(self) -> list[str]:
        """Returns what was wrong since the last call."""
        wrong, self.wrong = self.wrong, []
        return wrong


class Talk:
    """One connection from the balancer."""

    def __init__(
        self, told: Told, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.told, self.reader, self.writer = told, reader, writer
        self.rng = random.Random()

    async def serve(self) -> None:
        with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError):
            try:
                while await self._once():
                    pass
            except (ValueError, AssertionError) as error:
                self.told.wrong.append(f"an origin: {error!r}")
        self.writer.close()

    async def _once(self) -> bool:
        """Answers one request. Returns whether the connection stays."""
        line, fields = await self._head()
        method, target, version = line.split(" ")
        assert version == "HTTP/1.1", line
        plan = Plan.parse(target)
        assert fields.get("x-id", str(plan.seed)) == str(plan.seed), f"{line}: {fields}"
        self.told.note(BEGUN, method, plan)
        try:
            return await self._serve(plan, method, fields)
        finally:
            self.told.note(ENDED, method, plan)

    async def _serve(self, plan: Plan, method: str, fields: dict[str, str]) -> bool:
        if plan.way == UPGRADE:
            await self._tunnel(plan, fields)
            return False
        if "expect" in fields:
            assert fields["expect"] == "100-continue", fields
            await self._say(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = asyncio.ensure_future(self._body(plan, fields))
        try:
            if plan.way != "eager" or plan.down == 0:
                await body  # why: an answer that ends before its request may end the connection
            await self._answer(plan, method, body)
        finally:
            body.cancel()
        if plan.way == IDLE:
            await asyncio.sleep(self.rng.random() * IDLE_S)
        return plan.way not in ("until_close", "closing", IDLE)

    async def _head(self) -> tuple[str, dict[str, str]]:
        raw = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *rows = raw[:-4].split("\r\n")
        fields: dict[str, str] = {}
        for row in rows:
            name, _, value = row.partition(": ")
            assert name.lower() not in fields, f"twice: {raw}"
            fields[name.lower()] = value
        return line, fields

    async def _body(self, plan: Plan, fields: dict[str, str]) -> None:
        """Reads and compares the body. why: a body of no bytes need not be framed."""
        stream, at = plan.upstream(), 0
        if "transfer-encoding" in fields:
            assert fields["transfer-encoding"] == "chunked"
            assert "content-length" not in fields
            while size := int((await self.reader.readuntil(b"\r\n"))[:-2], 16):
                at = await self._compare(stream, at, size)
                assert await self.reader.readexactly(2) == b"\r\n"
            assert await self.reader.readexactly(2) == b"\r\n", "trailers"
        else:
            at = await self._compare(stream, 0, int(fields.get("content-length", "0")))
        assert at == plan.up, f"a body of {at} bytes, not {plan.up}: {plan}"

    async def _compare(self, stream: Stream, at: int, count: int) -> int:
        end = at + count
        while at < end:
            data = await self.reader.read(min(PIECE, end - at))
            if not data:
                raise EOFError
            stream.check(at, data)
            at += len(data)
        return at

    async def _say(self, data: bytes | memoryview) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def _answer(self, plan: Plan, method: str, body: asyncio.Future[None]) -> None:
        framing = {
            "chunked": "Transfer-Encoding: chunked\r\n",
            "slow": "Transfer-Encoding: chunked\r\n",
            "until_close": "",
            "empty": "",
        }.get(plan.way, f"Content-Length: {plan.down}\r\n")
        if plan.way == "closing" or (plan.way == "until_close" and method == "HEAD"):
            framing += "Connection: close\r\n"
        if plan.way == "informed":
            await self._say(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        head = f"HTTP/1.1 {plan.status} X\r\nX-Id: {plan.seed}\r\n{framing}\r\n"
        await self._say(head.encode())
        if method == "HEAD" or plan.way == "empty":
            await body
            return
        await self._send_body(plan, body, chunked="chunked" in framing)

    async def _send_body(self, plan: Plan, body: asyncio.Future[None], *, chunked: bool) -> None:
        stream, at = plan.downstream(), 0
        while at < plan.down:
            if plan.way == "slow":
                await asyncio.sleep(plan.rest_ms / 1000)
            size = PIECE if plan.way == "slow" else self.rng.choice((1, 1_000, PIECE, PIECE))
            part = stream.part(at, size)
            if plan.way == "eager" and at + len(part) == plan.down:
                await body  # why: as above
            at += len(part)
            await self._say(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
        await body
        if chunked:
            await self._say(b"0\r\n\r\n")

    async def _tunnel(self, plan: Plan, fields: dict[str, str]) -> None:
        """Switches protocols; then both sides send their streams. This one then closes."""
        assert fields.get("upgrade") == "soak", fields
        head = (
            f"HTTP/1.1 101 X\r\nX-Id: {plan.seed}\r\nUpgrade: soak\r\nConnection: upgrade\r\n\r\n"
        )
        await self._say(head.encode())
        reads = asyncio.ensure_future(self._compare(plan.upstream(), 0, plan.up))
        try:
            await serving.send(self.writer, plan.downstream(), PIECE, plan.rest_ms)
            await reads
        finally:
            reads.cancel()


async def serve(port: int, channel: socket.socket, journal: str) -> None:
    """Serves until the test process closes its end."""
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    told = Told(journal)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(high=0)  # what was said is with the kernel
        await Talk(told, reader, writer).serve()

    await asyncio.start_server(talk, "127.0.0.1", port, backlog=4096, limit=LIMIT)
    await serving.report(channel, {"pid": os.getpid()}, told.take)


def keep(port: int, channel: socket.socket) -> None:
    """Has a child serve whenever the test process asks for one; its line is the journal's path. why
    a child: it starts at once, whatever Python takes to start."""
    with channel:
        while journal := _line(channel):
            pid = os.fork()
            if pid == 0:
                asyncio.run(serve(port, channel, journal))
                os._exit(0)
            os.waitpid(pid, 0)
            channel.setblocking(True)  # why: the child's loop has changed the socket of both


def _line(channel: socket.socket) -> str:
    """Reads a line and no more, because the next ones are the child's."""
    line = b""
    while (byte := channel.recv(1)) not in (b"", b"\n"):
        line += byte
    return line.decode()


if __name__ == "__main__":
    given = serving.begin()
    keep(given["port"], socket.socket(fileno=given["fd"]))
