"""Answers of agents: what they set, and what is refused."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.checker.agent import PERCENT_MAX, STATES, Said, ask, parse
from l4lb.checker.plan import Agent

from .servers import serving


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("75%", Said(percent=75)),
        ("0%", Said(percent=0)),
        ("99999%", Said(percent=PERCENT_MAX)),
        ("up", Said(health="up")),
        ("UP", Said(health="up")),
        ("down #disk is full", Said(health="down", why="disk is full")),
        ("fail", Said(health="down")),
        ("failed", Said(health="down")),
        ("stopped", Said(health="down")),
        ("maint", Said(state="maint")),
        ("drain,50%", Said(percent=50, state="drain")),
        ("ready up 100% maxconn:30", Said(100, 30, "up", "ready")),
        ("up\tmaxconn:0", Said(max_connections=0, health="up")),
        ("", Said()),
        ("hello 12 % maxconn: -5% 1e3% maxconn:-1", Said()),
    ],
)
def test_a_line_is_read_as_haproxy_reads_it(line: str, said: Said) -> None:
    assert parse(line) == said


@given(st.text(max_size=300))
def test_no_line_is_too_strange(line: str) -> None:
    said = parse(line)
    assert said.percent is None or 0 <= said.percent <= PERCENT_MAX
    assert said.state is None or said.state in STATES
    assert said.health in (None, "up", "down")
    assert said.why.isprintable()


def asked(port: int, timeout_ms: int = 20_000, send: str | None = None) -> Said | None:
    async def run() -> Said | None:
        async with AsyncExitStack() as ends:
            return await ask("127.0.0.1", Agent(port, 1_000, timeout_ms, send), ends)

    return asyncio.run(run())


def test_one_line_is_read_and_no_more_is_waited_for() -> None:
    def talk(sock: socket.socket) -> None:
        sock.sendall(b"50% up\nmore that nobody reads")
        sock.recv(1)

    with serving(talk) as address:
        assert asked(address.port) == Said(percent=50, health="up")


def test_it_is_told_what_the_configuration_says() -> None:
    heard = []

    def talk(sock: socket.socket) -> None:
        heard.append(sock.recv(100))
        sock.sendall(b"up\r\n")

    with serving(talk) as address:
        assert asked(address.port, send="how are you?\n") == Said(health="up")
    assert heard == [b"how are you?\n"]


@pytest.mark.parametrize("data", [b"", b"\n", b"x" * 100_000])
def test_an_answer_without_a_word_says_nothing(data: bytes) -> None:
    with serving(lambda sock: sock.sendall(data)) as address:
        assert asked(address.port) in (None, Said())


def test_an_agent_that_is_not_there_or_silent_says_nothing() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        assert asked(sock.getsockname()[1]) is None
        sock.listen(1)
        assert asked(sock.getsockname()[1], timeout_ms=100) is None
