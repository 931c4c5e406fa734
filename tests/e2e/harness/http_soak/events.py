"""Events of the soak: those of chaos, and deaths of origins. Each notes what it may destroy."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil

from ..processes import kill_and_wait, stop_and_wait, stopped
from ..soak.events import CALM, Operator, plan
from .judgement import Blast
from .world import World

EVENTS = (
    *CALM, "kill", "kill", "kill", "kill_all", "kill_midway", "kill_midway", "kill_midway",
    "end_sessions", "end_sessions", "death", "death", "death_and_another", "pause", "reload",
)  # fmt: skip
PROGRESS_SHARE = 0.15  # of all events; every kind of client must be served soon after them
REST_S = 0.3  # after other events, at most


def events(rng: random.Random) -> Iterator[str]:
    """Yields events without end: all of them in random order, again and again."""
    while True:
        yield from plan(rng, len(EVENTS), EVENTS)


class Soaker(Operator):
    """An operator whose origins die, too. What each event may destroy is noted exactly."""

    drained = "steady"
    world: World

    def __init__(
        self, world: World, rng: random.Random, progress: Callable[[], None], friends: int
    ) -> None:
        super().__init__(world, rng, progress, friends)
        self.blasts: list[Blast] = []

    def _recover(self) -> None:
        """Waits until every kind of client was served, or only rests."""
        if self.rng.random() < PROGRESS_SHARE:
            self.progress()
        else:
            time.sleep(self.rng.random() * REST_S)

    def _strike(self, pid: int, maximum: Callable[[], int]) -> None:  # noqa: ARG002 - see Blast
        self._kill_processes("a worker was killed", [pid])

    def _kill_processes(self, what: str, workers: list[int]) -> None:
        """Kills processes that serve clients, all at the same time."""
        since = time.monotonic()
        for pid in workers:
            stop_and_wait(pid)
        try:
            ports = frozenset(port for pid in workers for port in self.world.clients_of(pid))
        except psutil.NoSuchProcess:
            raise ProcessLookupError from None
        for pid in workers:
            kill_and_wait(pid)
        self.blasts.append(Blast(what, since, time.monotonic(), ports, by_kernel=True))

    def _kill_all(self) -> None:
        """Kills all workers at the same time."""
        self.settled()
        old = self.lb.pids()
        self._kill_processes("all workers were killed", old)
        for index, pid in enumerate(old):
            self.lb.wait_for_new_worker(index, pid)

    def _end(self, row: dict[str, Any]) -> None:
        since, port = time.monotonic(), int(row["client"].rpartition(":")[2])
        super()._end(row)
        self.blasts.append(
            Blast("an operator ended it", since, time.monotonic(), frozenset([port]))
        )

    @contextlib.contextmanager
    def _dead(self) -> Iterator[None]:
        """Kills an origin, which is started again after the block."""
        origin = self.rng.choice(self.world.origins)
        since = time.monotonic()
        origin.die()
        self.blasts.append(
            Blast(
                "an origin was killed",
                since,
                time.monotonic(),
                origin=origin.name,
                seeds=origin.in_progress(),
            )
        )
        try:
            yield
        finally:
            origin.start()

    def _death(self) -> None:
        """Kills an origin. Checks may see it or not."""
        with self._dead():
            time.sleep(self.rng.choice((0, 0.2, 1.5)))

    def _death_and_another(self) -> None:
        """Something else happens while an origin is dead."""
        with self._dead():
            name = self.rng.choice(("kill", "reload", "upgrade", "rebalance"))
            getattr(self, "_" + name)()
            self.did[f"{name} beside a dead origin"] += 1

    def _pause(self) -> None:
        """Stops an origin for a moment."""
        with stopped(self.rng.choice(self.world.origins).pid):
            time.sleep(self.rng.uniform(0.05, 0.4))  # the time that the origin is stopped
