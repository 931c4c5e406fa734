"""The course of any soak: everything is used once and given back; then clients come, events happen,
they leave, and what they have seen is judged."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

from ..deadline import TooLateError, until
from . import leftovers
from .events import Operator
from .honest import HonestClients, Tally
from .hostile import HostileClients
from .world import SoakWorld

PROGRESS_S = 120  # time for a transfer of each kind


def listed(counter: Counter[str]) -> str:
    """Returns a counter for people."""
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))


@dataclass
class Outcome:
    """A record of what was done and how it ended, and everything that was wrong (empty:
    nothing)."""

    seed: int
    events: Counter[str]
    tally: Tally
    acts: Counter[str]
    began: dict[str, leftovers.Belongings] = field(default_factory=dict)
    ended: dict[str, leftovers.Belongings] = field(default_factory=dict)
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Returns the outcome for people."""
        return [
            f"seed {self.seed}, {self.seconds:.0f} s",
            f"events: {listed(self.events)}",
            *self._served(),
            f"by kind: {listed(self.tally.done)}",
            f"hostile acts: {listed(self.acts)}",
            f"wrong: {len(self.tally.wrong)}, stuck: {len(self.tally.stuck)}",
            self._lost(),
            *leftovers.told(self.began, self.ended),
        ]

    def _served(self) -> list[str]:
        """Returns lines about what was served."""
        raise NotImplementedError

    def _lost(self) -> str:
        """Returns a line about what was begun and not served."""
        raise NotImplementedError


class Run:
    """The clients of a world, in rounds: they come, events happen, they leave."""

    outcome: Outcome  # of this run; it is filled as the run goes on

    def __init__(
        self,
        world: SoakWorld,
        seed: int,
        honest: HonestClients,
        hostile: HostileClients,
        operator: type[Operator] = Operator,
    ) -> None:
        self.world, self.seed, self.honest, self.hostile = world, seed, honest, hostile
        self.operator = operator(world, random.Random(seed), self.progress, len(honest.clients))

    def start(self) -> None:
        """Starts all clients."""
        self.honest.start()
        self.hostile.start()

    def progress(self) -> None:
        """Returns when a transfer of each kind has begun and ended after the call."""
        done = self.honest.tally.done
        # What is under way may have begun before the call, so one more is waited for.
        wanted = {kind: done[kind] + count + 1 for kind, count in self.honest.at_once().items()}

        def missing() -> list[str]:
            self._give_up_if_hopeless()
            return [kind for kind, count in wanted.items() if done[kind] < count]

        try:
            until(lambda: not missing(), "all are served", timeout_s=PROGRESS_S)
        except TooLateError:
            raise TooLateError(
                f"seed {self.seed}: nobody serves {missing()}{self._hint()}"
            ) from None

    def _give_up_if_hopeless(self) -> None:
        tally = self.honest.tally
        assert not tally.stuck + tally.wrong, f"seed {self.seed}: {tally.stuck + tally.wrong}"

    def _hint(self) -> str:
        """Returns what else is known when somebody is not served."""
        return ""

    def clients_leave(self) -> None:
        """Ends all clients. Nothing of them may be left after that."""
        self.hostile.end()
        self.honest.end()
        self.operator.reload(self.world.base)
        self.operator.settled()

    def judge(self) -> None:
        """Adds what clients and servers have seen to the outcome."""
        tally = self.honest.tally
        self.outcome.wrong += tally.wrong + tally.stuck


W = TypeVar("W", bound=SoakWorld)
R = TypeVar("R", bound=Run)


def _end(this: Run, expected: Counter[str]) -> None:
    """Lets all clients leave, and judges when nothing more can come."""
    this.clients_leave()
    left = leftovers.wait_until_empty(this.world.lb, expected)
    this.judge()
    this.outcome.wrong += left


def _warm_up(first: Run) -> Counter[str]:
    """Uses everything once, so that the processes have what they need from then on. Returns their
    titles, which each of them has by the time when it serves."""
    first.start()
    first.progress()
    expected = leftovers.titles(first.world.lb)
    _end(first, expected)
    assert not first.outcome.wrong, first.outcome.wrong
    return expected


def soak(
    made: AbstractContextManager[W],
    clients: Callable[[W, int], R],
    seed: int,
    happens: Callable[[R], None],
    *,
    memory: bool,
) -> R:
    """Runs a soak by this seed. made: makes its world. clients: makes its run in that world, by a
    seed. happens: makes the events. memory: also checks the growth of memory, which builds with
    sanitizers do not pass."""
    begun = time.monotonic()
    with made as world:
        expected = _warm_up(clients(world, seed + 1))
        began = leftovers.belongings(world.lb)
        this = clients(world, seed)
        outcome = this.outcome
        this.start()
        try:
            happens(this)
        finally:
            print(f"L4LB_SEED={seed} {listed(outcome.events)}", file=sys.stderr)
        _end(this, expected)
        outcome.began = began
        outcome.ended, more = leftovers.wait_until_back(world.lb, began, memory)
        outcome.wrong += more + leftovers.log_errors(world.lb.log_path)
        outcome.seconds = time.monotonic() - begun
        return this
