"""What providers and their runner speak of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

MEMBERS_MAX = 4_096  # of one pool; more is a fault of the source
ANSWER_BYTES_MAX = 4 << 20
FAULTS_MAX = 16  # parts of one answer that are told as bad; more are only counted
TEXT_MAX = 300  # characters of one fault's text
MS = 1_000


class DiscoveryError(Exception):
    """A source did not answer, or not with backends: what was known stays. The text is for
    people: one line, bounded, whatever the source put in it."""

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))


def one_line(text: str) -> str:
    """A text for people of what a source may have written."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * TEXT_MAX]).split())
    return words if len(words) <= TEXT_MAX else words[: TEXT_MAX - 3] + "..."


@dataclass(frozen=True)
class Member:
    """One backend that was found. address: as a configuration says it, with an IP address."""

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
        """As a configuration says it."""
        named = {"name": self.name} if self.name and self.name != self.address else {}
        return named | {
            "address": self.address,
            "weight": self.weight,
            "max_connections": self.max_connections,
            "backup": self.backup,
        }


@dataclass(frozen=True)
class Answer:
    """What a source says now. faults: what was wrong with parts of it, at most FAULTS_MAX texts;
    the parts themselves are left out of members, or are as they were found before."""

    members: tuple[Member, ...]
    faults: tuple[str, ...] = ()


class Clock(Protocol):
    """Time, so that tests can bring their own."""

    def now_s(self) -> float:
        """Seconds that only grow."""

    async def sleep(self, seconds: float) -> None:
        """Returns after so many seconds."""


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
        """All members, now and after each change or look, for ever. The next answer is asked for
        only when the pool's rate limit allows it: between two answers a provider makes no more
        than a few requests. before: what an earlier follower had found.

        Yields a DiscoveryError when the source fails and is followed all the same; raises one when
        it must be followed anew after a while. Cancelling it leaves nothing."""
