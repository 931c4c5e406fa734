"""What of a source's answer is taken. Pure.

An answer that takes away more than max_shrink of what is in force is not believed at once: what
is new in it is taken, and what it would take away stays until the pool's checks say it is down, or,
where nothing is checked, until the source has said the same CONFIRMATIONS times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from l4lb.discovery.types import Member

CONFIRMATIONS = 3  # equal answers in a row


@dataclass(frozen=True)
class Taken:
    """members: all that are in force from now on; held: the names of those only held back."""

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
    """before: what was in force when the source last lost no more than it may; health: by name,
    of those that are checked; repeats: how often found was said in a row."""
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
    """Is there reason to keep a backend that the source has lost?"""
    if health == "unknown":
        return repeats < CONFIRMATIONS
    return health != "down"
