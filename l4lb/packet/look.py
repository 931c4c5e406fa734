"""Wide ranges of ports as the kernel's program has them (csrc/packet/look.h). Pure.

A range is some prefixes of the bits of a port, each a key of the map `parts`. A socket that is
really bound to an address is a key of the map `bound`, and takes its port out of all ranges.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

LAYOUT = 1  # L4_LOOK_LAYOUT
ADDRESS_BITS = 8 * (2 + 16)  # L4_LOOK_ADDRESS_BITS
PORT_BITS = 16
_PART = struct.Struct("=IH16s2s")  # struct l4_look_part
_PLACE = struct.Struct("=II")  # struct l4_look_place
_BOUND = struct.Struct("=16s2sH")  # struct l4_look_bound
_NUMBER = struct.Struct("=I")
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


class Range(NamedTuple):
    """Ports of one address that one listener has. interface: clients of other interfaces are not
    taken; 0: all are."""

    host: str
    first: int
    last: int
    interface: int = 0


class Bound(NamedTuple):
    """A socket that listens at one port. interface: the one that it is bound to; 0: to none."""

    host: str
    port: int
    interface: int = 0


def prefixes(first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yields a port and a number of its leading bits for each of the fewest prefixes that are
    exactly these ports."""
    while first <= last:
        size = first & -first or 1 << PORT_BITS
        while size > last - first + 1:
            size //= 2
        yield first, PORT_BITS - (size.bit_length() - 1)
        first += size


def parts(one: Range) -> list[bytes]:
    """Returns the keys of a range."""
    family, address = _packed(one.host)
    return [
        _PART.pack(ADDRESS_BITS + bits, family, address, port.to_bytes(2, "big"))
        for port, bits in prefixes(one.first, one.last)
    ]


def place(slot: int, interface: int) -> bytes:
    """Returns the value of a range's keys."""
    return _PLACE.pack(slot, interface)


def number(value: int) -> bytes:
    """Returns the key of a slot, or the value of a socket that is bound."""
    return _NUMBER.pack(value)


def bound(sockets: Iterable[Bound]) -> dict[bytes, int]:
    """Returns keys and values of sockets that are bound. Two at one address that are bound to
    different interfaces count as bound to none."""
    found: dict[bytes, int] = {}
    for one in sockets:
        family, address = _packed(one.host)
        key = _BOUND.pack(address, one.port.to_bytes(2, "big"), family)
        same = found.get(key, one.interface) == one.interface
        found[key] = one.interface if same else 0
    return found


def inside(sockets: Iterable[Bound], ranges: Iterable[Range]) -> list[Bound]:
    """Returns the sockets whose port is in one of the ranges, at an address of that range."""
    spans = list(ranges)
    return [one for one in sockets if any(_takes(one, span) for span in spans)]


def _takes(one: Bound, span: Range) -> bool:
    if not span.first <= one.port <= span.last or (":" in one.host) != (":" in span.host):
        return False
    return one.host == span.host or bool({one.host, span.host} & {"0.0.0.0", "::"})


def _packed(host: str) -> tuple[int, bytes]:
    address = ipaddress.ip_address(host)
    return _FAMILIES[address.version], address.packed.ljust(16, b"\0")
