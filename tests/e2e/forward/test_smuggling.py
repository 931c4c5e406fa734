"""The smuggling corpus through a forward proxy, each request in the absolute form: the server sees
the same messages as behind a reverse proxy, for the host that the target names, and nothing else.

The server answers each request with the bytes that it got. Behind each case a client asks a second
question at once: if the two sides disagree about where the case ends, the second answer is wrong.
"""

from __future__ import annotations

import asyncio
import re

from smuggling import REQUESTS, Request

from ..harness import PORTS
from ..http.test_smuggling import AT_ONCE, Recorder, answers_in, ask, echo
from .proxy import proxy

LINE = re.compile(rb"[^\r\n]*")
NOWHERE = {  # requests for another host, or for none: nobody else sees them
    "an absolute form becomes an origin form with its host": 502,
    "an absolute form without a path": 502,
    "an asterisk with OPTIONS": 400,
}


def absolute(sent: bytes, host: bytes) -> bytes:
    """Names the host in the target of the first request."""
    begin = len(sent) - len(sent.lstrip(b"\r\n"))
    line = LINE.match(sent, begin)
    assert line is not None
    return sent[:begin] + line[0].replace(b" /", b" http://%b/" % host, 1) + sent[line.end() :]


def for_host(message: bytes, host: bytes) -> bytes:
    """What a message for any host becomes."""
    return re.sub(rb"\r\nHost: [^\r\n]*\r\n", b"\r\nHost: %b\r\n" % host, message, count=1)


def second(host: bytes) -> bytes:
    return b"GET http://%b/second HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % (host, host)


def expected(case: Request, host: bytes) -> tuple[list[bytes], list[int]]:
    """(what the server sees, statuses of refusals). Only a fault ends the connection."""
    seen = [for_host(message, host) for message in case.forwarded]
    if case.refused:
        return seen, [case.refused]
    last = b"GET /second HTTP/1.1\r\nHost: %b\r\n\r\n" % host
    if case.says in NOWHERE:
        return [last], [NOWHERE[case.says]]
    if len(seen) > 1:  # the case's own second request names no host
        return [*seen[:-1], last], [400]
    return [*seen, last], []


class Server(Recorder):
    """allowed: all that a server may see."""

    def __init__(self, allowed: set[bytes]) -> None:
        super().__init__()
        self.allowed = allowed

    async def answer(self, message: bytes, writer: asyncio.StreamWriter) -> bool:
        # A connection to a server is for one request, which says so.
        message = message.replace(b"\r\nConnection: close\r\n\r\n", b"\r\n\r\n")
        if message not in self.allowed:
            self.strays.append(message)
        writer.write(echo(message))
        return True


async def play(address: tuple[str, int], case: Request, host: bytes, at: int) -> str:
    """Returns what was wrong, or ""."""
    sent = absolute(case.sent, host)
    stream, in_order = await ask(address, sent + second(host), at % len(sent))
    seen, statuses, rest = answers_in(stream)
    right = (seen, statuses) == expected(case, host) and rest == b"" and in_order
    return "" if right else f"{case.says}, split at {at}: {seen} {statuses} {rest!r} {in_order=}"


def test_a_server_sees_each_request_as_the_proxy_judged_it() -> None:
    port = PORTS.take()
    host = f"127.0.0.1:{port}".encode()

    async def everything(address: tuple[str, int]) -> tuple[list[str], list[bytes]]:
        server = Server({one for case in REQUESTS for one in expected(case, host)[0]})
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(case: Request, at: int) -> str:
            async with turns:
                return await play(address, case, host, at)

        async with await asyncio.start_server(server.serve, "127.0.0.1", port):
            plays = [one(case, at) for case in REQUESTS for at in (0, len(case.sent) // 2, -1)]
            return [wrong for wrong in await asyncio.gather(*plays) if wrong], server.strays

    with proxy(http={"request_id": "off", "http2": {"streams": 0}}) as lb:
        wrong, strays = asyncio.run(everything(lb.address))
    print("WRONG", *wrong, sep="\n")
    assert wrong == []
    assert strays == []
