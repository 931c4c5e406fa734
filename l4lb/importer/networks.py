"""Turns access rules of which the first match decides into lists of which the longest prefix
decides.

Take all prefixes in the rules, and the two prefixes of all addresses. The addresses that are in one
of these prefixes and in no longer one are inside, or outside, of every network of every rule. The
rules therefore give all of them one result. This result is written down where it differs from that
of the next shorter prefix.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Container, Iterable, Iterator, Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ALL = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


def network(text: str) -> Network:
    """Returns a network or an address; bits after the prefix are ignored. Raises ValueError."""
    found = ipaddress.ip_network(text, strict=False)
    mapped = getattr(found.network_address, "ipv4_mapped", None)
    if mapped is not None and found.prefixlen >= 96:
        return ipaddress.ip_network((int(mapped), found.prefixlen - 96))
    return found


def around(one: Network) -> Iterator[Network]:
    """Yields a network and all networks that contain it, the longest first."""
    for length in range(one.prefixlen, -1, -1):
        yield one.supernet(new_prefix=length)


def covered(one: Network, networks: Container[Network]) -> bool:
    """True if one of the networks contains it."""
    return any(outer in networks for outer in around(one))


def first_match(rules: Sequence[tuple[bool, Network | None]]) -> tuple[list[str], list[str]]:
    """Returns the allowed and denied networks for rules of one network each; None is all
    addresses."""
    first: dict[Network, int] = {}
    for index, (_, one) in enumerate(rules):
        for network_ in ALL if one is None else (one,):
            first.setdefault(network_, index)

    def comes_in(prefix: Network) -> bool:
        found = [first[outer] for outer in around(prefix) if outer in first]
        return rules[min(found)][0] if found else True

    return by_longest_prefix(first, comes_in)


def by_longest_prefix(
    named: Iterable[Network], comes_in: Callable[[Network], bool]
) -> tuple[list[str], list[str]]:
    """Returns the allowed and denied networks. comes_in says whether the addresses in a prefix, and
    in no longer named prefix, are let in."""
    allow: list[str] = []
    deny: list[str] = []
    said: dict[Network, bool] = {}
    for one in sorted({*named, *ALL}, key=lambda n: (n.version, n.prefixlen, n.network_address)):
        verdict = comes_in(one)
        if verdict != _around(one, said):
            (allow if verdict else deny).append(str(one))
        said[one] = verdict
    if set(map(str, ALL)) == set(deny) and allow:
        deny = []  # allow alone denies all others
    return allow, deny


def _around(one: Network, said: dict[Network, bool]) -> bool:
    """Returns the result of the next shorter prefix; an address in none is let in."""
    outer = (said.get(wider) for wider in around(one) if wider != one)
    return next((verdict for verdict in outer if verdict is not None), True)


def nested(routes: Iterable[tuple[Network, str]]) -> list[tuple[Network, str]]:
    """Sorts networks with their values so that the first match is the longest."""
    return sorted(routes, key=lambda one: -one[0].prefixlen)
