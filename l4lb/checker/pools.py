"""Events about pools without a usable backend. Pure.

A backend is usable if no operator has taken it out (`drain`, `maint`, weight 0), its agent leaves
it some weight, and it is neither down nor ejected. Backends that are not checked, and backups, are
usable. A pool begins as usable. It is down if two looks in a row find no usable backend: a reload
may take the last backend before it adds the next one. A pool that never had a usable backend has
FIRST_MS, for the first answer of its discovery.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from l4lb.checker.members import Member
from l4lb.native.rows import OUT

LOOKS = 2
FIRST_MS = 10_000


@dataclass
class _Known:
    """told_down: the last event was pool_down. looks: number of looks in a row without a usable
    backend."""

    told_down: bool
    since_ms: int
    served: bool = False
    looks: int = 0

    def is_down(self, now_ms: int) -> bool:
        if not self.served and now_ms - self.since_ms < FIRST_MS:
            return False
        return self.looks >= LOOKS


class Pools:
    """down: pools that an earlier process of the checker reported as down."""

    def __init__(self, down: Iterable[str] = ()) -> None:
        self._down = frozenset(down)
        self._known: dict[str, _Known] = {}
        self.is_unsettled = False  # the last look may soon cause an event

    def look(self, pools: Mapping[str, Sequence[Member]], now_ms: int) -> Iterator[dict[str, Any]]:
        """Yields the events of changes. pools: all pools with their backends."""
        self._known = {
            name: self._known.get(name) or _Known(name in self._down, now_ms) for name in pools
        }
        self._down &= frozenset(pools)
        self.is_unsettled = False
        for name, members in pools.items():
            known = self._known[name]
            usable = sum(one.is_usable for one in members)
            known.looks = 0 if usable else known.looks + 1
            known.served |= usable > 0
            if not known.told_down and known.is_down(now_ms):
                known.told_down = True
                yield _event("down", "up", name, members, now_ms) | {"text": _why(members)}
            elif known.told_down and usable:
                known.told_down = False
                text = (
                    f"{usable} of {len(members)} backends {'is' if usable == 1 else 'are'} usable"
                )
                yield _event("up", "down", name, members, now_ms) | {"text": text}
            self.is_unsettled |= not usable and not known.told_down


def _event(
    health: str, was: str, pool: str, members: Sequence[Member], now_ms: int
) -> dict[str, Any]:
    return {
        "at_ms": now_ms, "kind": f"pool_{health}", "pool": pool, "was": was, "health": health,
        "backends": len(members), "usable": sum(one.is_usable for one in members),
    }  # fmt: skip


def _why(members: Sequence[Member]) -> str:
    """Describes the state of a pool's backends in words."""
    if not members:
        return "it has no backend"
    counts: dict[str, int] = {}
    for one in members:
        counts[_word(one)] = counts.get(_word(one), 0) + 1
    said = ", ".join(f"{count} {word}" for word, count in counts.items())
    return f"no backend is usable: {said}"


def _word(member: Member) -> str:
    row = member.row
    if row.state != "ready":
        return {"drain": "drained", "maint": "in maintenance"}[row.state]
    return row.health if row.health in OUT else "without weight"
