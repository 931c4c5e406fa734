"""An expected answer is found at one place in a stream, however TCP has cut the stream."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest

from l4lb.checker import expect
from l4lb.checker.tcp import Conversation
from l4lb.checker.types import Attempt, ProbeError, Settings

MAIL = b"220-one\r\n220 two ready\r\n250-a\r\n250 b\r\n"


class Cut:
    """A stream that comes in these parts, and then ends or stays open without another byte."""

    def __init__(self, parts: Sequence[bytes], *, ends: bool) -> None:
        self._parts = list(parts)
        self._ends = ends

    async def send(self, data: bytes) -> None:
        pass

    async def receive(self, until_s: float = math.inf) -> bytes:  # noqa: ARG002  # why: its shape
        if self._parts:
            return self._parts.pop(0)
        if self._ends:
            return b""
        raise TimeoutError  # as at the time until_s


def said(parts: Sequence[bytes], steps: Sequence[str], *, ends: bool) -> str:
    """Returns the result of a conversation with these expectations."""
    settings = Settings("tcp", 1_000, 100, 2, 3, 0, steps=[{"expect": one} for one in steps])

    async def run() -> str:
        async with AsyncExitStack() as stack:
            attempt = Attempt(asyncio.get_running_loop().time() + 0.1, stack)
            return await Conversation(Cut(parts, ends=ends), settings, attempt).run()

    try:
        return asyncio.run(run())
    except ProbeError as error:
        return str(error)


def cuts(data: bytes) -> list[list[bytes]]:
    """Yields the stream cut in two at every byte, in three at some places, and byte by byte."""
    found = [[data[:at], data[at:]] for at in range(1, len(data))]
    found += [[data[:at], data[at : at + 3], data[at + 3 :]] for at in range(1, len(data) - 4, 2)]
    return [*found, [data[at : at + 1] for at in range(len(data))]]


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize(
    ("data", "steps", "passes"),
    [
        (b"+PONG\r\n", ["regex:^\\+PONG"], True),
        (b"+PONG\r\n", ["regex:^\\+PONG$"], False),
        (b"+PONG\r\n", ["regex:^\\+PONG\r\n$"], True),
        (b"+PONG\r\n", ["regex:(?m)^\\+PONG\r$"], True),
        (b"OK, but not really", ["regex:^OK$"], False),
        (b"OKAY", ["regex:\\bOK\\b"], False),
        (b"OK", ["regex:\\bOK\\b"], True),
        (b"not OK", ["regex:^OK"], False),
        (b"x" * 50 + b"OK", ["regex:^x*OK"], True),
        (MAIL, ["regex:^220 .*\r\n"], False),
        (MAIL, ["regex:(?m)^220 .*\r\n", "regex:^250-"], True),
        (MAIL, ["regex:220-.*", "regex:^one"], True),  # the shortest match counts
        (MAIL, ["text:220-", "text:220 ", "regex:^two"], True),
        (MAIL, ["regex:250 b\r\n$"], True),
        (MAIL, ["regex:220 .*$", "regex:^x?$"], False),
        (MAIL, ["regex:(?s)^220.*$", "regex:^$"], True),
        (b"", ["regex:^$"], True),
    ],
)
def test_an_anchored_expression_sees_the_same_however_the_answer_was_cut(
    data: bytes, steps: list[str], passes: bool, ends: bool
) -> None:
    whole = said([data] if data else [], steps, ends=ends)
    assert (f"{len(steps)} of {len(steps)} steps" == whole) is passes, whole
    for parts in cuts(data) if len(data) > 1 else []:
        assert said(parts, steps, ends=ends) == whole, parts


def test_the_end_of_what_has_come_is_no_end() -> None:
    for expected in ("regex:ok$", "regex:ok\\b", "regex:(?m)ok$", "regex:ok\\z", "regex:ok\\B"):
        assert expect.find(expected, b"ok") == -1, expected
    assert expect.find("regex:(?m)ok$", b"ok\n") == 3
    assert expect.find("regex:ok\\b", b"ok.") == 3
    assert expect.find("regex:ok\\B", b"oky") == 3
    assert expect.find("regex:ok", b"ok") == 2


def test_it_is_found_at_the_first_byte_by_which_it_holds() -> None:
    data = b"abcabcabc" * 100
    for expected in ("regex:b.*c", "regex:b+", "text:bc", "regex:(?:abc){3}", "regex:x*"):
        ends = [size for size in range(len(data) + 1) if expect.find(expected, data[:size]) >= 0]
        assert expect.find(expected, data) == ends[0], expected
