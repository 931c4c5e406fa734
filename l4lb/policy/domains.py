"""Patterns of hosts: "www.example.com" is one name, "*.example.com" any name below it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from l4lb.lists.name import name_of

DOMAINS_MAX = 10_000  # of one rule; more is what lists are for
LABELS_MAX = 127  # of a name of 253 bytes


class DomainsError(ValueError):
    """A text that is no pattern; its message says why."""


@dataclass(frozen=True)
class Domains:
    """exact: names. below: names whose subdomains are meant."""

    exact: frozenset[str]
    below: frozenset[str]

    def has(self, host: str) -> bool:
        """True if a pattern is that of this host, which is in the form of lists.name."""
        if host in self.exact:
            return True
        rest = host
        for _ in range(LABELS_MAX):
            _, dot, rest = rest.partition(".")
            if not dot or not self.below:
                return False
            if rest in self.below:
                return True
        return False


def domains_of(texts: Iterable[str]) -> Domains:
    """Reads patterns. Raises DomainsError."""
    exact: set[str] = set()
    below: set[str] = set()
    for count, text in enumerate(texts):
        if count >= DOMAINS_MAX:
            raise DomainsError(f"more than {DOMAINS_MAX:,} domains: put them into a list")
        name = name_of(text.removeprefix("*."))
        if name is None:
            raise DomainsError(f"{text[:300]!r} is no domain such as example.com or *.example.com")
        (below if text.startswith("*.") else exact).add(name)
    return Domains(frozenset(exact), frozenset(below))
