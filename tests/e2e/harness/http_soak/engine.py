"""One run of the soak: the world, its clients, the events, and the judgement."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from ..soak import course
from ..soak.course import listed
from ..soak.honest import HonestClients
from ..soak.hostile import HostileClients
from .events import Soaker, events
from .honest import Honest, KeptAlive, KeptAliveSecurely, Old, Tally, Tunnels, TunnelsSecurely
from .honest_http2 import Streams, StreamsSecurely
from .hostile import Foe
from .judgement import by_cause, unexplained
from .world import World

FOES = 2
KINDS: tuple[type[Honest], ...] = (
    KeptAlive, KeptAlive, KeptAliveSecurely, Old, Tunnels, TunnelsSecurely, Streams,
    StreamsSecurely,
)  # fmt: skip


@dataclass
class Outcome(course.Outcome):
    """An outcome of the soak. causes: the number of failures by what explains them."""

    tally: Tally
    causes: Counter[str] = field(default_factory=Counter)

    def _served(self) -> list[str]:
        tally = self.tally
        return [f"requests answered: {tally.done.total()}; bytes compared: {tally.bytes:,}"]

    def _lost(self) -> str:
        again = len(self.tally.again)
        return f"failed: {listed(self.causes) or 'none'}; may be sent again: {again}"


class Run(course.Run):
    """A run of the soak."""

    world: World
    operator: Soaker
    outcome: Outcome

    def __init__(self, world: World, seed: int) -> None:
        tally = Tally()
        clients = [kind(f"{seed} {n}", world, tally) for n, kind in enumerate(KINDS)]
        foes = HostileClients(Foe, world, (f"foe {seed} {n}" for n in range(FOES)))
        super().__init__(world, seed, HonestClients(clients, tally), foes, Soaker)
        self.outcome = Outcome(seed, self.operator.did, tally, foes.did)

    def judge(self) -> None:
        super().judge()
        outcome, blasts, lines = self.outcome, self.operator.blasts, self.world.lines()
        outcome.wrong += self.world.look()
        outcome.wrong += unexplained(outcome.tally, blasts, self.world.begun(), lines)
        outcome.causes = by_cause(outcome.tally.failed, blasts, lines)


def run(seed: int, *, goes_on: Callable[[], bool], memory: bool = True) -> Outcome:
    """Runs the soak by this seed. goes_on: asked before each event whether there is to be one.
    memory: also checks the growth of memory, which builds with sanitizers do not pass."""

    def until_the_end(this: Run) -> None:
        for name in events(random.Random(seed)):
            if not goes_on():
                break
            this.operator.act(name)
        this.progress()

    return course.soak(World.made(), Run, seed, until_the_end, memory=memory).outcome
