"""Finds the members that this host can reach: a name often has addresses of both families while a
host has only one kind of network.

A family is left out only as a whole, and only while the other one can be reached. A route that is
missing for a moment therefore empties no pool. No packet is sent.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence

from l4lb.config.address import parse_backend
from l4lb.discovery.types import Member

SAMPLE = 16  # members of a family that are tried; one with a route is enough
NO_MEANS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)  # says nothing about routes

HasRoute = Callable[[str], bool]


def has_route(address: str) -> bool:
    """True if this host has a route to an address in the form of a configuration."""
    parsed = parse_backend(address)
    if parsed.path:
        return True
    kind = socket.AF_INET6 if ":" in parsed.host else socket.AF_INET
    try:
        with socket.socket(kind, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
            probe.connect((parsed.host, parsed.port))
    except OSError as error:
        return error.errno in NO_MEANS
    return True


def family(member: Member) -> str:
    """Returns ipv4, ipv6 or unix."""
    if member.address.startswith("unix:"):
        return "unix"
    return "ipv6" if member.address.startswith("[") else "ipv4"


def sift(
    members: Sequence[Member], wanted: str, way: HasRoute = has_route
) -> tuple[tuple[Member, ...], tuple[Member, ...]]:
    """Returns the members that are used, and those without a route. wanted: as [discovery]
    family."""
    if wanted == "any":
        return tuple(members), ()
    if wanted != "auto":
        return tuple(one for one in members if family(one) in (wanted, "unix")), ()
    of: dict[str, list[Member]] = {}
    for one in members:
        of.setdefault(family(one), []).append(one)
    away = {name for name, some in of.items() if not any(way(one.address) for one in some[:SAMPLE])}
    if len(away) in (0, len(of)):
        return tuple(members), ()
    return (
        tuple(one for one in members if family(one) not in away),
        tuple(one for one in members if family(one) in away),
    )
