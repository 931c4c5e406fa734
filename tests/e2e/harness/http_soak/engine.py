"""One run of the soak: the world, its clients, the events, and the judgement."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from ..chaos import leftovers
from ..chaos.events import CALM, ROUGH, Kill, Operator, plan
from ..deadline import TooLateError, until
from .honest import (
    WAIT_S,
    Failure,
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
from .world import World

PROGRESS_S = 120  # time for a request of each kind
FOES = 2
KINDS: tuple[type[Honest], ...] = (
    KeptAlive, KeptAlive, KeptAliveSecurely, Old, Tunnels, TunnelsSecurely, Streams,
    StreamsSecurely,
)  # fmt: skip
HTTP_ROUGH = (*ROUGH, "death", "death")


@dataclass
class Outcome:
    """A record of what was done and how it ended, and everything that was wrong (empty:
    nothing)."""

    seed: int
    events: Counter[str]
    tally: Tally
    acts: Counter[str]
    served: int
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
            f"failed by a kill or a death: {len(tally.failed)}; sent again: {len(tally.again)}",
            *leftovers.told(self.began, self.ended),
        ]


def _listed(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))


def unexplained(
    failures: list[Failure], kills: list[Kill], logged: Callable[[int], list[str]] = lambda _: []
) -> list[str]:
    """Returns, in words, the failures that no kill explains. logged: returns the access log's lines
    of a request."""
    return [
        f"nothing explains this failure: {one}; logged: {logged(one.seed)}"
        for one in failures
        if not any(one.begun <= kill.until and kill.since <= one.ended for kill in kills)
    ]


class Soaker(Operator):
    """An operator whose origins die, too."""

    drained = "steady"
    world: World

    def _death(self) -> None:
        """Kills an origin, and starts it again."""
        origin = self.rng.choice(self.world.origins)
        with self._killing(0, by_signal=True):
            origin.die()
            time.sleep(self.rng.choice((0, 0.2, 1.5)))  # checks may see it or not
            origin.start()

    def settle_checks(self) -> None:
        """Waits until all backends may serve."""
        until(
            lambda: all(row["health"] != "down" for row in self.lb.ask("backends")), "all are up",
            timeout_s=60,
        )  # fmt: skip


class Run:
    """The clients of a world, in rounds: they come, events happen, they leave."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.seed = world, seed
        self.tally = Tally()
        self.clients = [kind(seed * 1000 + n, world, self.tally) for n, kind in enumerate(KINDS)]
        self.mob = Mob(world, seed, FOES)
        self.operator = Soaker(world, random.Random(seed), self.progress, len(self.clients))
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
        self.wrong += unexplained(tally.failed, self.operator.kills, self.world.logged)


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


def run(
    seed: int, rounds: int, *, goes_on: Callable[[], bool] | None = None, memory: bool = True
) -> Outcome:
    """Runs the soak by this seed with this number of events, a third of them in the calm phase.
    goes_on: asked after each `rounds` events whether to do that many again. memory: also checks the
    growth of memory, which builds with sanitizers do not pass."""
    begun = time.monotonic()
    with World.made() as world:
        began = _warm_up(world, seed + 1)
        expected = leftovers.titles(world.lb)
        this = Run(world, seed)
        this.start()
        rng = random.Random(seed)
        try:
            while True:
                _phases(this, rng, rounds)
                if goes_on is None or not goes_on():
                    break
        finally:
            print(f"L4LB_SEED={seed} {_listed(this.operator.did)}", file=sys.stderr)
        this.clients_leave()
        this.judge()
        this.wrong += leftovers.wait_until_empty(world.lb, expected)
        ended, more = leftovers.wait_until_back(world.lb, began, memory)
        this.wrong += more
        this.wrong += leftovers.log_errors(world.lb.log_path)
        return Outcome(
            seed,
            this.operator.did,
            this.tally,
            this.mob.did,
            sum(one.served for one in world.origins),
            began,
            ended,
            time.monotonic() - begun,
            this.wrong,
        )


def _phases(this: Run, rng: random.Random, rounds: int) -> None:
    for name in plan(rng, rounds // 3, CALM):
        this.operator.act(name)
    for name in plan(rng, rounds - rounds // 3, HTTP_ROUGH):
        this.operator.act(name)
