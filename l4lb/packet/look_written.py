"""What was written into the maps of wide port ranges, and the next difference to it.

Order of writing, so that at no moment a client of a range finds nobody: sockets, then the parts of
ranges that name them; only then what nothing needs any more is removed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from l4lb.packet import look
from l4lb.packet.look import Bound, Range

PARTS, SOCKETS, BOUND = "parts", "sockets", "bound"


class Maps(Protocol):
    """The maps of the program. Methods raise OSError."""

    def put(self, name: str, key: bytes, value: bytes) -> None: ...
    def drop(self, name: str, key: bytes) -> None: ...


class Steered(NamedTuple):
    """A range and one of its listening sockets. inode: of the socket, fd: its descriptor."""

    span: Range
    inode: int
    fd: int


class Written:
    """The content of the maps. before: what `carried` has returned, if the maps are those of an
    older program."""

    def __init__(self, before: Mapping[str, Any] | None = None) -> None:
        told = before or {}
        self._parts: dict[bytes, bytes] = _plain(told.get("parts", {}))
        self._bound: dict[bytes, bytes] = _plain(told.get("bound", {}))
        self._slots: dict[int, int] = {}  # by the inode of the socket there
        for slot, inode in told.get("slots", []):
            self._slots[inode] = slot

    def carried(self) -> dict[str, Any]:
        """Returns plain data for the next program."""
        return {
            "parts": {key.hex(): value.hex() for key, value in self._parts.items()},
            "bound": {key.hex(): value.hex() for key, value in self._bound.items()},
            "slots": [[slot, inode] for inode, slot in self._slots.items()],
        }

    def put(self, maps: Maps, steered: Iterable[Steered], bound: Iterable[Bound]) -> None:
        """Makes the maps say this. Raises OSError."""
        wanted = list(steered)
        taken = {key: look.number(value) for key, value in look.bound(bound).items()}
        for key, value in taken.items():
            if self._bound.get(key) != value:
                maps.put(BOUND, key, value)
                self._bound[key] = value
        for one in wanted:
            if one.inode not in self._slots:
                slot = self._free_slot()
                maps.put(SOCKETS, look.number(slot), look.number(one.fd))
                self._slots[one.inode] = slot
        parts = {
            key: look.place(self._slots[one.inode], one.span.interface)
            for one in wanted
            for key in look.parts(one.span)
        }
        for key, value in parts.items():
            if self._parts.get(key) != value:
                maps.put(PARTS, key, value)
                self._parts[key] = value
        self._drop(maps, parts.keys(), taken.keys(), {one.inode for one in wanted})

    def _drop(
        self, maps: Maps, parts: Iterable[bytes], bound: Iterable[bytes], inodes: Iterable[int]
    ) -> None:
        for key in self._parts.keys() - set(parts):
            maps.drop(PARTS, key)
            del self._parts[key]
        for key in self._bound.keys() - set(bound):
            maps.drop(BOUND, key)
            del self._bound[key]
        for inode in self._slots.keys() - set(inodes):
            with contextlib.suppress(OSError):  # the kernel removes a socket that is closed
                maps.drop(SOCKETS, look.number(self._slots[inode]))
            del self._slots[inode]

    def _free_slot(self) -> int:
        used = set(self._slots.values())
        return next(slot for slot in range(len(used) + 1) if slot not in used)


def _plain(told: Mapping[str, str]) -> dict[bytes, bytes]:
    return {bytes.fromhex(key): bytes.fromhex(value) for key, value in told.items()}
