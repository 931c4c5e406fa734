"""One run of chaos: the world, its clients, the events, and the judgement."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from ..soak import course
from ..soak.events import CALM, ROUGH, Kill, plan
from ..soak.honest import HonestClients
from ..soak.hostile import HostileClients
from .honest import UDP, Cut, Tally, clients
from .hostile import Foe
from .world import World

FOES = 3


@dataclass
class Outcome(course.Outcome):
    """An outcome of chaos. kills: what may have cut transfers."""

    tally: Tally
    kills: list[Kill] = field(default_factory=list)

    def _served(self) -> list[str]:
        done = self.tally.done
        datagrams = sum(done[kind] for kind in UDP)
        return [
            f"transfers: {done.total() - datagrams}; datagrams answered: {datagrams}",
            f"bytes compared: {self.tally.bytes:,}; datagrams sent again: {self.tally.again}",
        ]

    def _lost(self) -> str:
        maximum = sum(kill.maximum for kill in self.kills)
        return f"cut: {len(self.tally.cuts)}, of at most {maximum} that kills can have hit"


def looks_whole(cut: Cut) -> bool:
    """Returns whether the client could take the cut for the end. why not unix: its sockets know no
    reset."""
    return cut.manner == "short" and cut.kind != "unix"


def unexplained(
    cuts: list[Cut], kills: list[Kill], logged: Callable[[int], list[str]] = lambda _: []
) -> list[str]:
    """Returns, in words, the cuts that no kill explains. logged: returns the access log's lines of
    a client's port."""
    wrong = []
    for cut in cuts:
        near = [kill for kill in kills if cut.begun <= kill.until and kill.since <= cut.ended]
        if not near:
            wrong.append(f"nothing ended this transfer: {cut}; logged: {logged(cut.port)}")
        elif looks_whole(cut) and not any(kill.by_signal for kill in near):
            wrong.append(f"a session that was ended looked whole: {cut}")
    maximum = sum(kill.maximum for kill in kills)
    if len(cuts) > maximum:
        wrong.append(f"{len(cuts)} transfers were cut, of at most {maximum} that kills could hit")
    return wrong


class Run(course.Run):
    """A run of chaos."""

    world: World
    outcome: Outcome

    def __init__(self, world: World, seed: int) -> None:
        tally = Tally()
        friends = HonestClients(clients(world, seed, tally), tally)
        foes = HostileClients(Foe, world, (seed * 1000 + n for n in range(FOES)))
        super().__init__(world, seed, friends, foes)
        operator = self.operator
        self.outcome = Outcome(seed, operator.did, tally, foes.did, kills=operator.kills)

    def _hint(self) -> str:
        return f"; UDP servers dropped {self.world.servers.dropped()} datagrams"

    def judge(self) -> None:
        super().judge()
        outcome, servers = self.outcome, self.world.servers
        servers.look()
        outcome.wrong += [f"a server: {one}" for one in servers.wrong]
        # A client that had its whole answer does not see that the rest of its request was lost.
        seen = {one.seed for one in outcome.tally.cuts}
        cuts = [Cut("at its server", *one) for one in servers.short if one[0] not in seen]
        outcome.wrong += unexplained(outcome.tally.cuts + cuts, outcome.kills, self.world.logged)


def run(
    seed: int, rounds: int, *, goes_on: Callable[[], bool] | None = None, memory: bool = True
) -> Outcome:
    """Runs chaos by this seed with this number of events, a third of them in the calm phase.
    goes_on: asked after each `rounds` events whether to do that many again. memory: also checks the
    growth of memory, which builds with sanitizers do not pass."""
    rng = random.Random(seed)

    def phases(this: Run) -> None:
        while True:
            for name in plan(rng, rounds // 3, CALM) + plan(rng, rounds - rounds // 3, ROUGH):
                this.operator.act(name)
            if goes_on is None or not goes_on():
                return

    return course.soak(World.made(), Run, seed, phases, memory=memory).outcome
