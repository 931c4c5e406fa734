"""Access rules of which the first that matches decides, as lists of which the longest prefix does.

Take all prefixes that the rules name, and the two that hold all addresses. What lies in one of them
and in no longer one is inside or outside of every network of every rule, so the rules say one thing
of all of it. That is written where it differs from what the next shorter prefix says.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ALL = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


def network(text: str) -> Network:
    """A network or an address; bits after the prefix do not count. Raises ValueError."""
    found = ipaddress.ip_network(text, strict=False)
    mapped = getattr(found.network_address, "ipv4_mapped", None)
    if mapped is not None and found.prefixlen >= 96:
        return ipaddress.ip_network((int(mapped), found.prefixlen - 96))
    return found


def within(inner: Network, outer: Network) -> bool:
    """Is all of inner in outer?"""
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def by_longest_prefix(
    named: Iterable[Network], comes_in: Callable[[Network], bool]
) -> tuple[list[str], list[str]]:
    """Who is allowed and who denied. comes_in tells of a prefix whether what lies in it and in no
    longer one of those named comes in."""
    allow: list[str] = []
    deny: list[str] = []
    said: dict[Network, bool] = {}
    for one in sorted({*named, *ALL}, key=lambda n: (n.version, n.prefixlen, n.network_address)):
        verdict = comes_in(one)
        if verdict != _around(one, said):
            (allow if verdict else deny).append(str(one))
        said[one] = verdict
    if set(map(str, ALL)) == set(deny) and allow:
        deny = []  # allow alone turns all others away
    return allow, deny


def _around(one: Network, said: dict[Network, bool]) -> bool:
    """What holds of the next shorter prefix; who is in none comes in."""
    for length in range(one.prefixlen - 1, -1, -1):
        verdict = said.get(one.supernet(new_prefix=length))
        if verdict is not None:
            return verdict
    return True


def nested(routes: Iterable[tuple[Network, str]]) -> list[tuple[Network, str]]:
    """Networks and what is said of them so that the first that matches is the longest."""
    return sorted(routes, key=lambda one: -one[0].prefixlen)
