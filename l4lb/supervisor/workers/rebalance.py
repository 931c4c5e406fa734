"""Plans which worker hands how many sessions to which other, so that all have equally many.
Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Move(NamedTuple):
    """A number of sessions that one worker gives another, by index."""

    giver: int
    taker: int
    sessions: int


def evened(active: Mapping[int, int]) -> list[Move]:
    """Returns the fewest moves after which no two workers differ by more than one session."""
    if not active:
        return []
    mean, rest = divmod(sum(active.values()), len(active))
    # The workers with the most sessions keep the remainder that does not divide evenly.
    largest = sorted(active, key=lambda index: -active[index])
    due = {index: mean + (place < rest) for place, index in enumerate(largest)}
    over = {index: active[index] - due[index] for index in largest if active[index] > due[index]}
    under = {index: due[index] - active[index] for index in largest if active[index] < due[index]}
    moves = []
    for giver, left in over.items():
        for taker in under:
            count = min(left, under[taker])
            if count:
                moves.append(Move(giver, taker, count))
                left -= count
                under[taker] -= count
    return moves
