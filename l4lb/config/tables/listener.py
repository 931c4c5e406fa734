"""[listeners.NAME]: where clients come in."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from l4lb.config import fields
from l4lb.config.address import Bind
from l4lb.config.tables.base import Named


class Listener(Named):
    """Addresses that clients connect to, and the pool that serves them."""

    bind_ranges: fields.Binds = Field(alias="bind")
    """Addresses: IPv4:PORT, [IPv6]:PORT, NAME:PORT, a range of ports HOST:FIRST-LAST, or
    unix:/PATH. `*:PORT` and `:PORT` are any IPv4 address; `[::]:PORT` is IPv6 only."""
    protocol: Literal["tcp", "udp"] = "tcp"
    """What is balanced."""
    pool: str
    """Name of the pool that serves this listener."""

    @property
    def bind(self) -> tuple[Bind, ...]:
        """Every address bound, ranges of ports expanded, in the order written."""
        return tuple(one for span in self.bind_ranges for one in span)
