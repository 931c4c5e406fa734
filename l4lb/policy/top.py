"""The names that were counted most, of any number of names, in bounded memory. Pure.

Space-Saving (Metwally, Agrawal, El Abbadi: Efficient Computation of Frequent and Top-k Elements in
Data Streams, ICDT 2005): there is a fixed number of places. A new name takes the place of the one
with the smallest count, and its count goes on from there; `error` says how much of it may be
others'. So no name with a large count is missing, and no count is too small.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

PLACES = 2_000  # of one table
BY = ("user", "domain", "rule", "denied")  # the tables of a forward proxy


@dataclass
class Place:
    """count: of the name, at most `error` too high. denied: of these, seen while it had the place.
    rule: that decided last."""

    name: str
    count: int = 0
    error: int = 0
    denied: int = 0
    rule: str = ""


class Top:
    """One table."""

    def __init__(self, places: int = PLACES) -> None:
        self._places = places
        self._of: dict[str, Place] = {}
        # Each name once, with a count that may be older than the one in force, so lower.
        self._lowest: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._of)

    def add(self, name: str, count: int, *, denied: bool = False, rule: str = "") -> None:
        """Counts a name."""
        place = self._of.get(name)
        if place is None:
            error = self._make_room() if len(self._of) >= self._places else 0
            place = self._put(Place(name, error, error))
        place.count += count
        place.denied += count if denied else 0
        place.rule = rule

    def _put(self, place: Place) -> Place:
        self._of[place.name] = place
        heapq.heappush(self._lowest, (place.count, place.name))
        return place

    def _make_room(self) -> int:
        """Removes the name with the smallest count, and returns that count."""
        while True:
            seen, name = self._lowest[0]
            now = self._of[name].count
            if now == seen:
                heapq.heappop(self._lowest)
                del self._of[name]
                return now
            heapq.heapreplace(self._lowest, (now, name))

    def most(self, limit: int) -> list[Place]:
        """Returns the largest counts, the largest first."""
        return heapq.nsmallest(limit, self._of.values(), key=lambda one: (-one.count, one.name))

    def plain(self) -> list[list[Any]]:
        """Returns all places as plain data."""
        return [list(vars(one).values()) for one in self._of.values()]

    def restore(self, told: Iterable[Any]) -> None:
        """Takes what plain has returned, in a table that is empty."""
        for row in told:
            if len(self._of) < self._places:
                self._put(Place(*row))
