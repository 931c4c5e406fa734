"""One run of chaos: the world, its clients, the events, and the judgement."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from ..deadline import TooLateError, until
from . import leftovers
from .events import CALM, ROUGH, Kill, Operator, plan
from .honest import UDP, Crowd, Cut, Tally
from .hostile import Mob
from .world import World

PROGRESS_S = 120  # time for a transfer of each kind
FOES = 3


@dataclass
class Outcome:
    """A record of what was done and how it ended, and everything that was wrong (empty:
    nothing)."""

    seed: int
    events: Counter[str]
    tally: Tally
    acts: Counter[str]
    cut: int
    may_be_cut: int
    began: dict[str, leftovers.Belongings]
    ended: dict[str, leftovers.Belongings]
    seconds: float
    wrong: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Returns the outcome for people."""
        done = self.tally.done
        datagrams = sum(done[kind] for kind in UDP)
        return [
            f"seed {self.seed}, {self.seconds:.0f} s",
            f"events: {_listed(self.events)}",
            f"transfers: {done.total() - datagrams}; datagrams answered: {datagrams}",
            f"bytes compared: {self.tally.bytes:,}; datagrams sent again: {self.tally.again}",
            f"by kind: {_listed(done)}",
            f"hostile acts: {_listed(self.acts)}",
            f"wrong: {len(self.tally.wrong)}, stuck: {len(self.tally.stuck)}",
            f"cut: {self.cut}, of at most {self.may_be_cut} that kills can have hit",
            *leftovers.told(self.began, self.ended),
        ]


def _listed(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))


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


class Run:
    """The clients of a world, in rounds: they come, events happen, they leave."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.seed = world, seed
        self.crowd = Crowd(world, seed)
        self.mob = Mob(world, seed, FOES)
        self.operator = Operator(world, random.Random(seed), self.progress, len(self.crowd.clients))
        self.wrong: list[str] = []

    def progress(self) -> None:
        """Returns when a transfer of each kind has begun and ended after the call."""
        done = self.crowd.tally.done
        # The transfer under way may have begun before the call, so a second one is waited for.
        wanted = {client.kind: done[client.kind] + 2 for client in self.crowd.clients}
        wanted["queued"] += 2  # there are three clients of this kind

        def missing() -> list[str]:
            self._give_up_if_hopeless()
            return [kind for kind, count in wanted.items() if done[kind] < count]

        try:
            until(lambda: not missing(), "all are served", timeout_s=PROGRESS_S)
        except TooLateError:
            lost = self.world.servers.dropped()
            raise TooLateError(
                f"seed {self.seed}: nobody serves {missing()}; UDP servers dropped {lost} datagrams"
            ) from None

    def _give_up_if_hopeless(self) -> None:
        tally = self.crowd.tally
        assert not tally.stuck + tally.wrong, f"seed {self.seed}: {tally.stuck + tally.wrong}"

    def clients_leave(self) -> None:
        """Ends all clients. Nothing of them may be left after that."""
        self.mob.end()
        self.crowd.end()
        self.operator.reload(self.world.base)
        self.operator.settled()

    def judge(self) -> None:
        """Adds what clients and servers have seen to the outcome."""
        tally, servers = self.crowd.tally, self.world.servers
        servers.look()
        self.wrong += tally.wrong + tally.stuck + [f"a server: {one}" for one in servers.wrong]
        # A client that had its whole answer does not see that the rest of its request was lost.
        seen = {one.seed for one in tally.cuts}
        cuts = [Cut("at its server", *one) for one in servers.short if one[0] not in seen]
        self.wrong += unexplained(tally.cuts + cuts, self.operator.kills, self.world.logged)


def _warm_up(world: World, seed: int) -> dict[str, leftovers.Belongings]:
    """Uses everything once and lets all clients leave. Returns what the processes then have."""
    first = Run(world, seed)
    expected = leftovers.titles(world.lb)
    first.crowd.start()
    first.mob.start()
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
    """Runs chaos by this seed with this number of events, a third of them in the calm phase.
    goes_on: asked after each `rounds` events whether to do that many again. memory: also checks the
    growth of memory, which builds with sanitizers do not pass."""
    begun = time.monotonic()
    with World.made() as world:
        began = _warm_up(world, seed + 1)
        expected = leftovers.titles(world.lb)
        this = Run(world, seed)
        this.crowd.start()
        this.mob.start()
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
            this.crowd.tally,
            this.mob.did,
            len(this.crowd.tally.cuts),
            sum(kill.maximum for kill in this.operator.kills),
            began,
            ended,
            time.monotonic() - begun,
            this.wrong,
        )


def _phases(this: Run, rng: random.Random, rounds: int) -> None:
    for name in plan(rng, rounds // 3, CALM):
        this.operator.act(name)
    for name in plan(rng, rounds - rounds // 3, ROUGH):
        this.operator.act(name)
