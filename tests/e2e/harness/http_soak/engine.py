"""One run of the soak: the world, its clients, the events, and the judgement."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from ..chaos import leftovers
from ..deadline import TooLateError, until
from .events import Soaker, events
from .honest import (
    WAIT_S,
    Honest,
    KeptAlive,
    KeptAliveSecurely,
    Old,
    Tally,
    Tunnels,
    TunnelsSecurely,
)
from .honest2 import Streams, StreamsSecurely
from .hostile import Mob
from .judgement import by_cause, unexplained
from .world import World

PROGRESS_S = 120  # time for a request of each kind
FOES = 2
KINDS: tuple[type[Honest], ...] = (
    KeptAlive, KeptAlive, KeptAliveSecurely, Old, Tunnels, TunnelsSecurely, Streams,
    StreamsSecurely,
)  # fmt: skip


@dataclass
class Outcome:
    """A record of what was done and how it ended, and everything that was wrong (empty:
    nothing)."""

    seed: int
    events: Counter[str]
    tally: Tally
    acts: Counter[str]
    causes: Counter[str]
    began: dict[str, leftovers.Belongings]
    ended: dict[str, leftovers.Belongings]
    seconds: float
    wrong: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Returns the outcome for people."""
        tally = self.tally
        return [
            f"seed {self.seed}, {self.seconds:.0f} s",
            f"events: {_listed(self.events)}",
            f"requests answered: {tally.done.total()}; bytes compared: {tally.bytes:,}",
            f"by kind: {_listed(tally.done)}",
            f"hostile acts: {_listed(self.acts)}",
            f"wrong: {len(tally.wrong)}, stuck: {len(tally.stuck)}",
            f"failed: {_listed(self.causes) or 'none'}; may be sent again: {len(tally.again)}",
            *leftovers.told(self.began, self.ended),
        ]


def _listed(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))


class Run:
    """The clients of a world, in rounds: they come, events happen, they leave."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.seed = world, seed
        self.tally = Tally()
        self.clients = [kind(f"{seed} {n}", world, self.tally) for n, kind in enumerate(KINDS)]
        self.mob = Mob(world, seed, FOES)
        self.operator = Soaker(world, random.Random(seed), self.progress, len(self.clients))
        self.causes: Counter[str] = Counter()
        self.wrong: list[str] = []

    def start(self) -> None:
        for client in self.clients:
            client.thread.start()
        self.mob.start()

    def progress(self) -> None:
        """Returns when a request of each kind has begun and ended after the call."""
        done = self.tally.done
        wanted = {client.kind: done[client.kind] + 2 for client in self.clients}
        wanted["kept"] += 2  # there are two clients of this kind

        def missing() -> list[str]:
            found = self.tally.stuck + self.tally.wrong
            assert not found, f"seed {self.seed}: {found}"
            return [kind for kind, count in wanted.items() if done[kind] < count]

        try:
            until(lambda: not missing(), "all are served", timeout_s=PROGRESS_S)
        except TooLateError:
            raise TooLateError(f"seed {self.seed}: nobody serves {missing()}") from None

    def clients_leave(self) -> None:
        """Ends all clients. Nothing of them may be left after that."""
        self.mob.end()
        for client in self.clients:
            client.stop.set()
        for client in self.clients:
            client.thread.join(timeout=WAIT_S)
            if client.thread.is_alive():
                self.tally.stuck.append(f"a client of {client.kind} does not end")
        self.operator.reload(self.world.base)
        self.operator.settled()

    def judge(self) -> None:
        """Adds what clients and origins have seen to the outcome."""
        tally = self.tally
        self.wrong += tally.wrong + tally.stuck + self.world.look()
        blasts, lines = self.operator.blasts, self.world.lines()
        self.wrong += unexplained(tally, blasts, self.world.begun(), lines)
        self.causes = by_cause(tally.failed, blasts, lines)


def _warm_up(world: World, seed: int) -> dict[str, leftovers.Belongings]:
    """Uses everything once and lets all clients leave. Returns what the processes then have."""
    first = Run(world, seed)
    expected = leftovers.titles(world.lb)
    first.start()
    first.progress()
    first.clients_leave()
    first.judge()
    assert not first.wrong, first.wrong
    left = leftovers.wait_until_empty(world.lb, expected)
    assert not left, left
    return leftovers.belongings(world.lb)


def run(seed: int, *, goes_on: Callable[[], bool], memory: bool = True) -> Outcome:
    """Runs the soak by this seed. goes_on: asked before each event whether there is to be one.
    memory: also checks the growth of memory, which builds with sanitizers do not pass."""
    begun = time.monotonic()
    with World.made() as world:
        began = _warm_up(world, seed + 1)
        expected = leftovers.titles(world.lb)
        this = Run(world, seed)
        this.start()
        try:
            for name in events(random.Random(seed)):
                if not goes_on():
                    break
                this.operator.act(name)
            this.progress()
        finally:
            print(f"L4LB_SEED={seed} {_listed(this.operator.did)}", file=sys.stderr)
        this.clients_leave()
        left = leftovers.wait_until_empty(world.lb, expected)
        this.judge()
        ended, more = leftovers.wait_until_back(world.lb, began, memory)
        this.wrong += left + more + leftovers.log_errors(world.lb.log_path)
        return Outcome(
            seed,
            this.operator.did,
            this.tally,
            this.mob.did,
            this.causes,
            began,
            ended,
            time.monotonic() - begun,
            this.wrong,
        )
