"""The interfaces that a program is attached to: the shield, or the one that forwards.

A program of XDP is attached by a link, and so is one of tc where the kernel has tcx (Linux 6.6).
The shield's link has its descriptor with the supervisor alone, so the kernel detaches the program
when the supervisor is gone; a link with a name (pins.py) stays. An older kernel gets a filter of
clsact, which is removed at the end; after a supervisor that was killed it stays, and the next start
takes its place.

An interface that goes takes its attachment along. `follow` attaches to it again when it is back.
"""

from __future__ import annotations

import errno
import os
import socket
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import l4lb.log
from l4lb.errors import L4lbError
from l4lb.packet import program

SHIELD_PRIORITY = 1  # of filters of clsact: the first
IN_DRIVER, GENERIC = "xdp", "xdp (generic)"
OCCUPIED = (errno.EBUSY, errno.EEXIST)
LOG = l4lb.log.get("supervisor")


def handle_of(service: str) -> int:
    """Returns the handle of a service's filters of clsact. service: what no other one of this host
    has. A filter with an equal handle would be replaced."""
    return zlib.crc32(service.encode()) & 0x7FFF_FFFF or 1


class Attachable(Protocol):
    """A loaded program: native/packet.pyi, Shield, says what its methods do."""

    @property
    def is_xdp(self) -> bool: ...
    def link(self, interface: int, in_driver: bool = True) -> int: ...
    def relink(self, link: int) -> None: ...
    def filter(self, interface: int, handle: int) -> None: ...


class Attached:
    """The attachments of one program, None: of none any more. before: what `carried` of the old
    program has returned. handle, priority: of its filters of clsact. what: it is, for people."""

    def __init__(
        self,
        made: Attachable | None,
        before: Mapping[str, Any],
        handle: int,
        priority: int = SHIELD_PRIORITY,
        what: str = "shield",
    ) -> None:
        self._program = made
        self._priority = priority
        self._what = what
        self._handle = int(before.get("handle", handle))
        self._links: dict[str, int] = dict(before.get("links", {}))
        self._filters: dict[str, int] = dict(before.get("filters", {}))
        self._numbers: dict[str, int] = dict(before.get("numbers", {}))
        self._ways: dict[str, str] = dict(before.get("ways", {}))
        self._names: tuple[str, ...] = ()
        self._failed: dict[str, int | None] = {}

    @property
    def links(self) -> dict[str, int]:
        """Returns the descriptors of links, by interface."""
        return dict(self._links)

    @property
    def interfaces(self) -> list[str]:
        return sorted({*self._links, *self._filters})

    @property
    def way(self) -> str:
        """The ways in which it is attached, for people."""
        return ", ".join(sorted(set(self._ways.values())))

    def to(self, names: Sequence[str]) -> None:
        """Attaches to exactly these interfaces. Raises L4lbError."""
        self._names = tuple(names)
        for name in set(self.interfaces) - set(names):
            self._detach(name)
        for name in names:
            number = _number_of(name)
            if number is None:
                raise L4lbError(
                    f"[process.packet] interfaces: this host has no interface {name}; see `ip link`"
                )
            self._attach(name, number)

    def follow(self) -> None:
        """Attaches to interfaces that have come back."""
        for name in self._names:
            number = _number_of(name)
            if number == self._numbers.get(name):
                continue
            if name in self._numbers:
                LOG.warning(f"an interface is gone, with its {self._what}", interface=name)
                self._detach(name)
            if number is None or self._failed.get(name) == number:
                continue
            try:
                self._attach(name, number)
            except L4lbError as error:
                self._failed[name] = number
                LOG.error(f"an interface is back without a {self._what}", why=error.message)
            else:
                LOG.info(f"an interface is back, with its {self._what}", interface=name)

    def _attach(self, name: str, number: int) -> None:
        made = self._program
        assert made is not None
        if name in self._ways and made.is_xdp != (self._ways[name] in (IN_DRIVER, GENERIC)):
            self._change(name, number)
            return
        try:
            if not self._relinked(name):
                self._ways[name] = self._attached_by(name, number)
        except OSError as error:
            if made.is_xdp and error.errno in OCCUPIED:
                raise L4lbError(
                    f"interface {name}: another program of XDP is there (`ip link show {name}`); "
                    'remove it, or set shield = "tc"'
                ) from error
            raise L4lbError(f"interface {name}: {program.why_not(error)}") from error
        self._numbers[name] = number

    def _change(self, name: str, number: int) -> None:
        """Attaches a program of the other kind, and only then detaches the old one."""
        link, filtered = self._links.pop(name, None), self._filters.pop(name, None)
        self._ways.pop(name)
        try:
            self._attach(name, number)
        finally:
            self._remove(link, filtered)

    def _relinked(self, name: str) -> bool:
        """Puts the program in the place of an old one. Returns False if there is none."""
        assert self._program is not None
        if name not in self._links:
            return False
        try:
            self._program.relink(self._links[name])
        except OSError as error:
            if error.errno != errno.ENOLINK:
                raise
            os.close(self._links.pop(name))  # its interface is gone
            return False
        return True

    def _attached_by(self, name: str, number: int) -> str:
        """Attaches the program; returns how. Raises OSError."""
        assert self._program is not None
        try:
            self._links[name] = self._program.link(number)
        except OSError as error:
            if self._program.is_xdp and error.errno not in (*OCCUPIED, errno.EPERM):
                self._links[name] = self._program.link(number, in_driver=False)
                return GENERIC
            if self._program.is_xdp or error.errno != errno.EOPNOTSUPP:
                raise
            self._program.filter(number, self._handle)
            self._filters[name] = number
            return "clsact"
        return IN_DRIVER if self._program.is_xdp else "tcx"

    def _detach(self, name: str) -> None:
        self._numbers.pop(name, None)
        self._ways.pop(name, None)
        self._remove(self._links.pop(name, None), self._filters.pop(name, None))

    def _remove(self, link: int | None, filtered: int | None) -> None:
        if link is not None:
            os.close(link)
        if filtered is not None:
            from l4lb.native.bpf import unfilter

            unfilter(filtered, self._handle, self._priority)

    def close(self) -> None:
        """Detaches from all interfaces."""
        for name in self.interfaces:
            self._detach(name)

    def carried(self) -> dict[str, Any]:
        """Returns what the next program needs."""
        return {
            "links": dict(self._links),
            "filters": dict(self._filters),
            "numbers": dict(self._numbers),
            "ways": dict(self._ways),
            "handle": self._handle,
        }


def _number_of(name: str) -> int | None:
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None
