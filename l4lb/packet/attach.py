"""The interfaces that the shield is attached to.

Where the kernel has tcx links (Linux 6.6), the program is attached by one: its descriptor is with
the supervisor alone, so the kernel detaches the program when the supervisor is gone. An older
kernel gets a filter of clsact, which is removed at the end; after a supervisor that was killed it
stays, and the next start takes its place.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from l4lb.errors import L4lbError
from l4lb.packet import program

if TYPE_CHECKING:
    from l4lb.native.packet import Shield

HANDLE = 0x6C34  # of our filter of clsact: "l4"


class Attached:
    """The attachments of one shield. before: what `carried` of the old program has returned."""

    def __init__(self, shield: Shield | None, before: Mapping[str, Any]) -> None:
        self._shield = shield
        self._links: dict[str, int] = dict(before.get("links", {}))
        self._filters: dict[str, int] = dict(before.get("filters", {}))

    @property
    def interfaces(self) -> list[str]:
        return sorted({*self._links, *self._filters})

    @property
    def way(self) -> str:
        """The way in which it is attached, for people."""
        return "clsact" if self._filters else "tcx"

    def to(self, names: Sequence[str]) -> None:
        """Attaches to exactly these interfaces. Raises L4lbError."""
        for name in set(self.interfaces) - set(names):
            self._detach(name)
        for name in names:
            self._attach(name)

    def _attach(self, name: str) -> None:
        assert self._shield is not None
        try:
            number = socket.if_nametoindex(name)
        except OSError as error:
            raise L4lbError(
                f"[process.packet] interfaces: this host has no interface {name}; see `ip link`"
            ) from error
        try:
            try:
                if name in self._links:
                    self._shield.relink(self._links[name])
                else:
                    self._links[name] = self._shield.link(number)
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:
                    raise
                self._shield.filter(number, HANDLE)
                self._filters[name] = number
        except OSError as error:
            raise L4lbError(f"interface {name}: {program.why_not(error)}") from error

    def _detach(self, name: str) -> None:
        if name in self._links:
            os.close(self._links.pop(name))
        elif name in self._filters:
            from l4lb.native.packet import unfilter

            unfilter(self._filters.pop(name), HANDLE)

    def close(self) -> None:
        """Detaches from all interfaces."""
        for name in self.interfaces:
            self._detach(name)

    def carried(self) -> dict[str, Any]:
        """Returns what the next program needs."""
        return {"links": dict(self._links), "filters": dict(self._filters)}
