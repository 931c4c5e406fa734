"""The types of providers and their runner."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

MEMBERS_MAX = 4_096  # of one pool; more is a failure of the source
ANSWER_BYTES_MAX = 4 << 20
FAULTS_MAX = 16  # bad parts of one answer that are reported; further ones are only counted
TEXT_MAX = 300  # characters of one fault's text
MS = 1_000


class DiscoveryError(Exception):
    """A source gave no answer, or not a list of backends: its last answer stays. The text is for
    people: one line of limited length, whatever the source sent."""

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))


def one_line(text: str) -> str:
    """Returns a text from a source in a form for people."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * TEXT_MAX]).split())
    return words if len(words) <= TEXT_MAX else words[: TEXT_MAX - 3] + "..."


@dataclass(frozen=True)
class Member:
    """One discovered backend. address: in the form of a configuration, with an IP address."""

    address: str
    name: str = ""
    weight: int = 1
    max_connections: int = 0
    backup: bool = False

    @property
    def known_as(self) -> str:
        """Its name in the pool."""
        return self.name or self.address

    def plain(self) -> dict[str, Any]:
        """Returns it in the form of a configuration."""
        named = {"name": self.name} if self.name and self.name != self.address else {}
        return named | {
            "address": self.address,
            "weight": self.weight,
            "max_connections": self.max_connections,
            "backup": self.backup,
        }


@dataclass(frozen=True)
class Answer:
    """One answer of a source. faults: at most FAULTS_MAX texts about bad parts. A bad part is left
    out of members, or its earlier value is in them."""

    members: tuple[Member, ...]
    faults: tuple[str, ...] = ()


class Clock(Protocol):
    """Time, so that tests can bring their own clock."""

    def now_s(self) -> float:
        """Seconds that only grow."""

    async def sleep(self, seconds: float) -> None:
        """Returns after this many seconds."""


class RealClock:
    """The host's time."""

    def now_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


REAL_CLOCK = RealClock()


class Provider(Protocol):
    """Follows one source."""

    def follow(self, before: Sequence[Member]) -> AsyncGenerator[Answer | DiscoveryError, None]:
        """Yields all members, now and after each change or look, for ever. The next answer is asked
        for only when the pool's rate limit allows it: between two answers a provider makes no more
        than a few requests. before: members that an earlier follower found.

        Yields a DiscoveryError when the source fails and is still followed. Raises one when it must
        be followed anew after a while. Cancelling it leaves nothing behind.
        """
