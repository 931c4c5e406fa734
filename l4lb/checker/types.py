"""What every kind of check has in common: its settings, its target, its outcome.

One file a kind; each has a `probe` of this shape and an entry in PROBES of main.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

from l4lb.native.results import Result
from l4lb.native.rows import Address


@dataclass(frozen=True)
class Settings:
    """How the backends of one pool are checked; the defaults are the configuration's.

    port and address: checked instead of the backend's own."""

    type: str
    interval_ms: int
    timeout_ms: int
    rise: int
    fall: int
    jitter_percent: int
    port: int | None = None
    address: str | None = None
    source: str | None = None

    @classmethod
    def from_map(cls, values: Mapping[str, Any]) -> Settings:
        """From a plain map, as it comes over the channel. Raises TypeError."""
        known: dict[str, Any] = {field.name: values.get(field.name) for field in fields(cls)}
        return cls(**known)


@dataclass(frozen=True)
class Outcome:
    """How one check ended. text says why in words."""

    result: Result
    errno: int = 0
    text: str = ""

    @property
    def passed(self) -> bool:
        return self.result == Result.OK


class Probe(Protocol):
    """Checks one target once. It ends by itself or is cancelled at the timeout, and leaves nothing
    behind either way. It raises OSError for what the network says."""

    async def __call__(self, target: Address, settings: Settings) -> Outcome: ...
