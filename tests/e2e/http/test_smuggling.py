"""The smuggling corpus through the installed program, each case in every split into two segments.

A backend answers each request with the bytes that it got, so a client knows what went on of its own
bytes. Behind each case a client asks a second question at once: if the two sides disagree about
where the case ends, the second answer is not right.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import pytest
from smuggling import ANSWERS, REQUESTS, Answer, Request, take_message

from ..harness import PORTS, Balancer, one_pool
from ..harness.deadline import SLOWNESS

SECOND = b"GET /second HTTP/1.1\r\nHost: second\r\n\r\n"
SECOND_AND_LAST = SECOND[:-2] + b"Connection: close\r\n\r\n"
AT_ONCE = 24  # clients at one time
PATIENCE_S = 10 * SLOWNESS
ALLOWED = {SECOND, *(message for case in REQUESTS for message in case.forwarded)}


class Recorder:
    """A backend that answers with what it got, or with an answer of the corpus."""

    def __init__(self) -> None:
        self.strays: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = b""
        with suppress(ConnectionError, asyncio.CancelledError):
            while more := await reader.read(65536):
                stream += more
                while taken := take_message(stream):
                    message, stream = taken
                    if not await self.answer(message, writer):
                        stream = b""
                        break
        writer.close()

    async def answer(self, message: bytes, writer: asyncio.StreamWriter) -> bool:
        """Answers a request. Returns False if the connection ends with the answer."""
        asked = re.match(rb"\w+ /answer/(\d+)/(\d+) ", message)
        if asked:
            case = ANSWERS[int(asked[1])]
            await in_two(writer, case.sent, int(asked[2]))
            if case.closes:
                writer.close()
            return not case.closes
        # Without reuse each request says so; that is no part of the normal form here.
        message = message.replace(b"\r\nConnection: close\r\n\r\n", b"\r\n\r\n")
        if message not in ALLOWED:
            self.strays.append(message)
        writer.write(echo(message))
        return True


def echo(message: bytes, *fields: bytes) -> bytes:
    return b"\r\n".join(
        [b"HTTP/1.1 200 OK", b"Date: now", b"X-Saw: " + message.hex().encode(),
         b"Content-Length: 0", *fields, b"", b""]
    )  # fmt: skip


ECHO_OF_SECOND = echo(SECOND, b"Connection: close")


async def in_two(writer: asyncio.StreamWriter, data: bytes, at: int) -> None:
    """Sends data in two segments. A short pause lets the receiver read them one by one; nothing
    depends on whether it does."""
    writer.write(data[:at])
    if 0 < at < len(data):
        await asyncio.sleep(0.001)
    writer.write(data[at:])


async def ask(address: tuple[str, int], data: bytes, at: int) -> tuple[bytes, bool]:
    """Sends data in two segments. Returns all that comes back, and whether it ends in order."""
    reader, writer = await asyncio.open_connection(*address)
    received, in_order = b"", False
    with suppress(ConnectionError, TimeoutError):
        await in_two(writer, data, at)
        while more := await asyncio.wait_for(reader.read(65536), PATIENCE_S):
            received += more
        in_order = True
    writer.close()
    return received, in_order


@contextmanager
def balancer(reuse: str) -> Iterator[tuple[Balancer, int]]:
    port = PORTS.take()
    config = one_pool(f"127.0.0.1:{PORTS.take()}", [f"127.0.0.1:{port}"], http={"reuse": reuse})
    config["listeners"]["web"] |= {
        "protocol": "http",
        "http": {"forwarded": "off", "request_id": "off", "http2": {"streams": 0}},
    }
    with Balancer(config) as lb:
        yield lb, port


def through_balancer(
    splits: list[range], play: Callable[[tuple[str, int], int, int], Awaitable[str]], reuse: str
) -> None:
    """Plays each case in each split, many at one time. `play` returns what was wrong, or ""."""

    async def everything(address: tuple[str, int], port: int) -> tuple[list[str], list[bytes]]:
        recorder, turns = Recorder(), asyncio.Semaphore(AT_ONCE)

        async def one(number: int, at: int) -> str:
            async with turns:
                return await play(address, number, at)

        async with await asyncio.start_server(recorder.serve, "127.0.0.1", port):
            plays = [one(number, at) for number, places in enumerate(splits) for at in places]
            return [wrong for wrong in await asyncio.gather(*plays) if wrong], recorder.strays

    with balancer(reuse) as (lb, port):
        wrong, strays = asyncio.run(everything(lb.address, port))
    print("WRONG", *wrong, sep="\n")
    assert wrong == []
    assert strays == []


def answers_in(stream: bytes) -> tuple[list[bytes], list[int], bytes]:
    """(what the backend saw, statuses of other answers, what follows)."""
    saw, statuses = [], []
    while taken := take_message(stream):
        message, stream = taken
        _, marked, rest = message.partition(b"\r\nX-Saw: ")
        if marked:
            saw.append(bytes.fromhex(rest.partition(b"\r\n")[0].decode()))
        else:
            statuses.append(int(message.split()[1]))
    return saw, statuses, stream


async def play_request(address: tuple[str, int], number: int, at: int) -> str:
    case: Request = REQUESTS[number]
    stream, in_order = await ask(address, case.sent + SECOND_AND_LAST, at)
    found = answers_in(stream)
    expected = (
        (case.forwarded, [case.refused], b"")
        if case.refused
        else ([*case.forwarded, SECOND], [], b"")
    )
    right = found == expected and in_order
    return "" if right else f"{case.says}, split at {at}: {found}, {in_order=}"


async def play_answer(address: tuple[str, int], number: int, at: int) -> str:
    case: Answer = ANSWERS[number]
    question = f"{case.asked} /answer/{number}/{at} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    stream, in_order = await ask(address, question + SECOND_AND_LAST, len(question))
    right = is_right(case, stream) and (in_order or case.cut)
    return "" if right else f"{case.says}, split at {at}: {stream!r}, {in_order=}"


def is_right(case: Answer, stream: bytes) -> bool:
    if case.received is None:
        taken = take_message(stream)
        if taken is None:
            return case.cut
        return taken[0].startswith(b"HTTP/1.1 502 ") and taken[1] in (b"", ECHO_OF_SECOND)
    received = b""
    while taken := take_message(stream, bodiless=case.asked == "HEAD"):
        received += taken[0]
        stream = taken[1]
        if not taken[0].startswith(b"HTTP/1.1 1"):
            break
    return received == case.received and stream == ECHO_OF_SECOND


def every_split(cases: Sequence[Request | Answer]) -> list[range]:
    return [range(len(case.sent)) for case in cases]


@pytest.mark.timeout(int(600 * SLOWNESS))
def test_a_request_is_refused_or_goes_on_in_its_normal_form_in_every_split() -> None:
    through_balancer(every_split(REQUESTS), play_request, "always")


@pytest.mark.timeout(int(600 * SLOWNESS))
def test_an_answer_is_refused_or_goes_on_in_its_normal_form_in_every_split() -> None:
    """Without reuse: bytes that come behind an answer, and late, spoil another one otherwise."""
    through_balancer(every_split(ANSWERS), play_answer, "never")


def test_no_bytes_behind_an_answer_get_into_the_next_one_on_its_connection() -> None:
    through_balancer([range(1)] * len(ANSWERS), play_answer, "always")
