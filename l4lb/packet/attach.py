"""The interfaces that the shield is attached to.

A program of XDP is attached by a link, and so is one of tc where the kernel has tcx (Linux 6.6).
The link's descriptor is with the supervisor alone, so the kernel detaches the program when the
supervisor is gone. An older kernel gets a filter of clsact, which is removed at the end; after a
supervisor that was killed it stays, and the next start takes its place.

An interface that goes takes its attachment along. `follow` attaches to it again when it is back.
"""

from __future__ import annotations

import errno
import os
import socket
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import l4lb.log
from l4lb.errors import L4lbError
from l4lb.packet import program

if TYPE_CHECKING:
    from l4lb.native.packet import Shield

IN_DRIVER, GENERIC = "xdp", "xdp (generic)"
OCCUPIED = (errno.EBUSY, errno.EEXIST)
LOG = l4lb.log.get("supervisor")


def handle_of(service: str) -> int:
    """Returns the handle of a service's filters of clsact. service: what no other one of this host
    has. A filter with an equal handle would be replaced."""
    return zlib.crc32(service.encode()) & 0x7FFF_FFFF or 1


class Attached:
    """The attachments of one shield. before: what `carried` of the old program has returned.
    handle: of its filters of clsact."""

    def __init__(self, shield: Shield | None, before: Mapping[str, Any], handle: int) -> None:
        self._shield = shield
        self._handle = int(before.get("handle", handle))
        self._links: dict[str, int] = dict(before.get("links", {}))
        self._filters: dict[str, int] = dict(before.get("filters", {}))
        self._numbers: dict[str, int] = dict(before.get("numbers", {}))
        self._ways: dict[str, str] = dict(before.get("ways", {}))
        self._names: tuple[str, ...] = ()
        self._failed: dict[str, int | None] = {}

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
                LOG.warning("an interface is gone, with its shield", interface=name)
                self._detach(name)
            if number is None or self._failed.get(name) == number:
                continue
            try:
                self._attach(name, number)
            except L4lbError as error:
                self._failed[name] = number
                LOG.error("an interface is back without a shield", why=error.message)
            else:
                LOG.info("an interface is back, with its shield", interface=name)

    def _attach(self, name: str, number: int) -> None:
        shield = self._shield
        assert shield is not None
        if name in self._ways and shield.is_xdp != (self._ways[name] in (IN_DRIVER, GENERIC)):
            self._change(name, number)
            return
        try:
            if not self._relinked(name):
                self._ways[name] = self._attached_by(name, number)
        except OSError as error:
            if shield.is_xdp and error.errno in OCCUPIED:
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
        assert self._shield is not None
        if name not in self._links:
            return False
        try:
            self._shield.relink(self._links[name])
        except OSError as error:
            if error.errno != errno.ENOLINK:
                raise
            os.close(self._links.pop(name))  # its interface is gone
            return False
        return True

    def _attached_by(self, name: str, number: int) -> str:
        """Attaches the program; returns how. Raises OSError."""
        assert self._shield is not None
        try:
            self._links[name] = self._shield.link(number)
        except OSError as error:
            if self._shield.is_xdp and error.errno not in (*OCCUPIED, errno.EPERM):
                self._links[name] = self._shield.link(number, in_driver=False)
                return GENERIC
            if self._shield.is_xdp or error.errno != errno.EOPNOTSUPP:
                raise
            self._shield.filter(number, self._handle)
            self._filters[name] = number
            return "clsact"
        return IN_DRIVER if self._shield.is_xdp else "tcx"

    def _detach(self, name: str) -> None:
        self._numbers.pop(name, None)
        self._ways.pop(name, None)
        self._remove(self._links.pop(name, None), self._filters.pop(name, None))

    def _remove(self, link: int | None, filtered: int | None) -> None:
        if link is not None:
            os.close(link)
        if filtered is not None:
            from l4lb.native.packet import unfilter

            unfilter(filtered, self._handle)

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
