"""Access rules of which the first that matches decides, as lists of which the longest prefix does.

Take all prefixes that the rules name, and the two that hold all addresses. What lies in one of them
and in no longer one is inside or outside of every network of every rule, so the rules say one thing
of all of it. That is written where it differs from what the next shorter prefix says.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Container, Iterable, Iterator, Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ALL = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


def network(text: str) -> Network:
    """A network or an address; bits after the prefix do not count. Raises ValueError."""
    found = ipaddress.ip_network(text, strict=False)
    mapped = getattr(found.network_address, "ipv4_mapped", None)
    if mapped is not None and found.prefixlen >= 96:
        return ipaddress.ip_network((int(mapped), found.prefixlen - 96))
    return found


def around(one: Network) -> Iterator[Network]:
    """A network and all that it lies in, the longest first."""
    for length in range(one.prefixlen, -1, -1):
        yield one.supernet(new_prefix=length)


def covered(one: Network, networks: Container[Network]) -> bool:
    """Does it lie in one of them?"""
    return any(outer in networks for outer in around(one))


def first_match(rules: Sequence[tuple[bool, Network | None]]) -> tuple[list[str], list[str]]:
    """Who is allowed and who denied by rules of one network each; None is all addresses."""
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
    outer = (said.get(wider) for wider in around(one) if wider != one)
    return next((verdict for verdict in outer if verdict is not None), True)


def nested(routes: Iterable[tuple[Network, str]]) -> list[tuple[Network, str]]:
    """Networks and what is said of them so that the first that matches is the longest."""
    return sorted(routes, key=lambda one: -one[0].prefixlen)
