"""What providers and their runner speak of."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Protocol

MEMBERS_MAX = 4_096  # of one pool; more is a fault of the source
ANSWER_BYTES_MAX = 4 << 20
MS = 1_000


class DiscoveryError(Exception):
    """A source did not answer, or not with backends: what was known stays. The text is for
    people."""


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


class Provider(Protocol):
    """Follows one source."""

    def follow(self) -> AsyncGenerator[list[Member], None]:
        """All members, now and after each change or look, for ever. Raises DiscoveryError when
        the source fails: it is then followed anew after a while. Cancelling it leaves nothing."""
