"""The times at which checks are due, on a clock that the tests set."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from l4lb.checker.schedule import Schedule

INTERVAL_MS = 2_000


class Clock:
    """Runs a schedule of checks that take no time, and records every start."""

    def __init__(self, seed: int = 1, jitter: float = 0.0) -> None:
        self.now = 0
        self.schedule: Schedule[str] = Schedule()
        self.starts: list[tuple[int, str]] = []
        self._random = random.Random(seed)
        self._jitter = jitter

    def add(self, keys: int) -> None:
        for n in range(keys):
            self.schedule.add(f"b{n}", self.now, INTERVAL_MS, self._random.random())

    def turn(self, until_ms: int, step_ms: int = 5) -> None:
        """Advances the clock in steps; starts and ends the checks that are due in each."""
        while self.now < until_ms:
            self.now += step_ms
            while (taken := self.schedule.take(self.now)) is not None:
                key, due = taken
                chance = self._random.random()
                if self.schedule.postponed(key, due, self.now, INTERVAL_MS, chance):
                    continue
                self.starts.append((self.now, key))
                self.schedule.again(
                    key, due, self.now, INTERVAL_MS, self._jitter, self._random.random()
                )

    def busiest(self, window_ms: int, since_ms: int = 0) -> int:
        """Returns the maximum number of starts in any window of this length."""
        times = [at for at, _ in self.starts if at >= since_ms]
        return max(sum(at <= one < at + window_ms for one in times) for at in times)


def test_first_checks_are_spread_over_one_interval() -> None:
    clock = Clock()
    clock.add(1_000)
    clock.turn(INTERVAL_MS)
    assert len({key for _, key in clock.starts}) == 1_000
    assert clock.busiest(100) < 100  # 50 are expected


def test_the_rate_is_fixed_without_jitter() -> None:
    clock = Clock()
    clock.add(10)
    clock.turn(100 * INTERVAL_MS)
    for n in range(10):
        starts = [at for at, key in clock.starts if key == f"b{n}"]
        assert len(starts) == 100
        # A start deviates by at most one step of the clock, and deviations never add up.
        assert all(
            abs(at - starts[0] - place * INTERVAL_MS) <= 5 for place, at in enumerate(starts)
        )


def test_jitter_makes_an_interval_shorter_by_at_most_its_part_and_never_longer() -> None:
    clock = Clock(jitter=0.5)
    clock.add(1)
    clock.turn(200 * INTERVAL_MS)
    times = [at for at, _ in clock.starts]
    gaps = [b - a for a, b in pairwise(times)]
    assert min(gaps) >= 0.5 * INTERVAL_MS - 5
    assert max(gaps) <= INTERVAL_MS + 5
    assert len(set(gaps)) > 10


def test_a_stop_of_10_s_is_not_made_up_for_and_the_checks_after_it_are_spread() -> None:
    clock = Clock()
    clock.add(500)
    clock.turn(3 * INTERVAL_MS)
    clock.now += 10_000
    resumed = clock.now
    clock.turn(resumed + 4 * INTERVAL_MS)
    for n in range(500):
        starts = [at - resumed for at, key in clock.starts if key == f"b{n}" and at > resumed]
        assert sum(at <= INTERVAL_MS for at in starts) <= 2  # the late one and the next, not five
        assert 3 <= len(starts) <= 6
    assert clock.busiest(100, since_ms=resumed) < 100


def test_a_check_that_ends_late_but_within_its_interval_keeps_the_fixed_rate() -> None:
    schedule: Schedule[str] = Schedule()
    assert schedule.again("a", 1_000, 2_900, INTERVAL_MS, 0.0, 0.9) == 3_000


def test_what_is_late_by_a_stop_is_spread_over_as_long_as_it_is_late() -> None:
    schedule: Schedule[str] = Schedule()
    assert not schedule.postponed("a", 1_000, 1_900, INTERVAL_MS, 0.5)
    assert "a" not in schedule
    assert schedule.postponed("a", 1_000, 11_000, INTERVAL_MS, 0.5)
    assert schedule.next_ms() == 11_000 + INTERVAL_MS / 2
    assert schedule.postponed("a", 1_000, 4_000, 60_000, 0.5)
    assert schedule.next_ms() == 4_000 + 3_000 / 2


def test_a_dropped_key_is_never_due() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.add("a", 0, INTERVAL_MS, 0.5)
    schedule.drop("a")
    schedule.drop("a")
    assert "a" not in schedule
    assert schedule.next_ms() is None
    assert schedule.take(1 << 40) is None


def test_a_key_put_again_is_due_once_at_its_last_place() -> None:
    schedule: Schedule[str] = Schedule()
    schedule.put("a", 10)
    schedule.put("a", 30)
    assert schedule.take(20) is None
    assert schedule.next_ms() == 30
    assert schedule.take(30) == ("a", 30)
    assert schedule.take(1 << 40) is None


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["put", "drop", "take"]), st.integers(0, 5), st.integers(0, 100)),
    max_size=80,
)


@given(ACTIONS)
def test_any_order_of_put_drop_and_take_agrees_with_a_plain_map(
    actions: list[tuple[str, int, int]],
) -> None:
    schedule: Schedule[int] = Schedule()
    plain: dict[int, float] = {}
    for action, key, time in actions:
        if action == "put":
            schedule.put(key, time)
            plain[key] = time
        elif action == "drop":
            schedule.drop(key)
            plain.pop(key, None)
        else:
            taken = schedule.take(time)
            due = min(plain.values(), default=None)
            if due is None or due > time:
                assert taken is None
            else:
                assert taken is not None
                assert plain.pop(taken[0]) == taken[1] == due
        assert schedule.next_ms() == min(plain.values(), default=None)
        assert all((one in schedule) == (one in plain) for one in range(6))
