"""Decides which parts of a source's answer are used. Pure.

An answer that lacks more than max_shrink of the backends in force is not accepted at once. New
backends in it are used. A missing backend stays until the pool's health checks say that it is down.
If backends are not checked, they stay until the source has given this answer CONFIRMATIONS times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from l4lb.discovery.types import Member

CONFIRMATIONS = 3  # equal answers in a row


@dataclass(frozen=True)
class Taken:
    """members: all backends in force from now on. held: names of those that the answer lacks and
    that stay."""

    members: tuple[Member, ...]
    held: tuple[str, ...] = ()


def take(
    before: Sequence[Member],
    found: Sequence[Member],
    *,
    max_shrink_percent: int,
    health: Mapping[str, str],
    repeats: int,
) -> Taken:
    """before: the backends in force when the source last lost no more than max_shrink. health: by
    name, of backends that are checked. repeats: how often found was answered in a row."""
    loss = len(before) - len(found)
    if loss <= 0 or loss * 100 <= max_shrink_percent * len(before):
        return Taken(tuple(found))
    names = {one.known_as for one in found}
    held = [
        one
        for one in before
        if one.known_as not in names and _stands(health.get(one.known_as, "unknown"), repeats)
    ]
    return Taken((*found, *held), tuple(one.known_as for one in held))


def _stands(health: str, repeats: int) -> bool:
    """True if a backend that the source has lost should stay."""
    if health == "unknown":
        return repeats < CONFIRMATIONS
    return health != "down"
