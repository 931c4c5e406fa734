"""Agent checks: an agent on the backend's host reports its state, as with HAProxy's agent-check.

The agent answers a connection with one line of words, separated by spaces, commas or tabs:

    75%                     of the configured weight
    maxconn:30              the backend's max_connections
    up / down, fail, stopped    optionally with "#why" at the end of the line
    ready, drain, maint     the operator's words

An agent that cannot be reached changes nothing.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from dataclasses import dataclass

from l4lb.checker.limits import LINE_BYTES_MAX
from l4lb.checker.plan import Agent
from l4lb.checker.shown import plain
from l4lb.checker.stream import Plain, connect
from l4lb.checker.types import ProbeError
from l4lb.config.values import payload
from l4lb.native.rows import Address

PERCENT_MAX = 256
WORDS = re.compile(r"[ \t,]+")
DOWN = ("down", "fail", "failed", "stopped")
STATES = ("ready", "drain", "maint")


@dataclass(frozen=True)
class Said:
    """The contents of one answer; None: the answer does not mention it."""

    percent: int | None = None
    max_connections: int | None = None
    health: str | None = None
    state: str | None = None
    why: str = ""


def parse(line: str) -> Said:
    """Parses one line of an agent. Unknown words are ignored, as HAProxy does."""
    words, _, why = line.partition("#")
    percent = maximum = None
    health = state = None
    for word in WORDS.split(words.strip().lower()):
        number = word.removesuffix("%").removeprefix("maxconn:")
        digits = number.isascii() and number.isdigit() and len(number) <= 9
        if word.endswith("%") and digits:
            percent = min(int(number), PERCENT_MAX)
        elif word.startswith("maxconn:") and digits:
            maximum = int(number)
        elif word == "up":
            health = "up"
        elif word in DOWN:
            health = "down"
        elif word in STATES:
            state = word
    return Said(percent, maximum, health, state, plain(why.strip()))


async def _line(wire: Plain) -> str:
    data = b""
    while b"\n" not in data and b"\r" not in data and len(data) < LINE_BYTES_MAX:
        more = await wire.receive()
        if not more:
            break
        data += more
    first = re.split(rb"[\r\n]", data[:LINE_BYTES_MAX], maxsplit=1)[0]
    return first.decode("ascii", errors="replace")


async def ask(host: str, agent: Agent, ends: AsyncExitStack) -> Said | None:
    """Asks an agent. Returns None if it could not be reached, or did not answer in time. ends: the
    things to close when the answer has been applied."""
    until_s = asyncio.get_running_loop().time() + agent.timeout_ms / 1000
    try:
        wire = Plain(await connect(Address(host, agent.port), agent.way, until_s), until_s)
        ends.push_async_callback(wire.finish)
        if agent.send is not None:
            await wire.send(payload.to_bytes(agent.send))
        line = await _line(wire)
    except (OSError, TimeoutError, ProbeError):
        return None
    return parse(line) if line.strip() else None
