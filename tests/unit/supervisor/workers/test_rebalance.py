"""Rebalancing: no worker has two sessions more than another, and no session moves without need."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from l4lb.supervisor.workers.rebalance import evened

WORKERS = st.dictionaries(st.integers(0, 63), st.integers(0, 5_000), max_size=12)


@given(WORKERS)
def test_all_have_the_same_afterwards_by_the_fewest_moves(active: dict[int, int]) -> None:
    after = dict(active)
    for move in evened(active):
        assert move.sessions > 0
        after[move.giver] -= move.sessions
        after[move.taker] += move.sessions
    assert sum(after.values()) == sum(active.values())
    assert max(after.values(), default=0) - min(after.values(), default=0) <= 1
    # Moves one session at a time from the largest worker to the smallest, as long as that helps.
    naive, fewest = sorted(active.values()), 0
    if naive:
        mean, rest = divmod(sum(naive), len(naive))
        due = [mean] * (len(naive) - rest) + [mean + 1] * rest
        fewest = sum(max(0, have - get) for have, get in zip(naive, due, strict=True))
    assert sum(move.sessions for move in evened(active)) == fewest


@given(WORKERS)
def test_nobody_gives_and_takes(active: dict[int, int]) -> None:
    moves = evened(active)
    assert not {move.giver for move in moves} & {move.taker for move in moves}
