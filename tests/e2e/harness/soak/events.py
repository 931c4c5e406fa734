"""Events: what operators and accidents do to the balancer, and how the end of each is seen.

A calm event ends no session. An event that kills returns a `Kill`: its time, and the maximum number
of sessions that it may have ended.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .. import wire
from ..balancer import ROWS_MAX, Balancer
from ..configuration import Config
from ..deadline import PATIENCE_S, until
from ..processes import kill_and_wait, send_signal, stop_and_wait
from .leftovers import pids, titles
from .world import FOES, SoakWorld

LONG_S = PATIENCE_S * 6  # time for a reload or an upgrade on a busy machine
HELPERS = ("checker", "control", "logger")
FOUND_NOTHING = "not_found"


@dataclass(frozen=True)
class Kill:
    """A kill. since, until: times before it was asked for and after it was done. A whole transfer
    may begin between the two on a busy machine, and be cut. maximum: how many transfers it may have
    cut. by_signal: the kernel closed the connections, so that an end may look clean."""

    since: float
    until: float
    maximum: int
    by_signal: bool


class Operator:
    """Makes events in a random order."""

    drained = "plain"  # the pool whose backends are drained

    def __init__(
        self, world: SoakWorld, rng: random.Random, progress: Callable[[], None], friends: int
    ) -> None:
        """progress: returns when a transfer of each kind has begun and ended after the call.
        friends: the number of honest clients, each with one transfer."""
        self.world, self.lb, self.rng = world, world.lb, rng
        self.progress, self.friends = progress, friends
        self.did: Counter[str] = Counter()
        self.kills: list[Kill] = []

    def act(self, name: str) -> None:
        """Makes an event. Returns when it is over and, as `_recover` says, clients have been served
        after it."""
        getattr(self, "_" + name)()
        self.did[name] += 1
        self._recover()

    def _recover(self) -> None:
        self.progress()

    def ask(self, command: str, **args: Any) -> Any:
        """Sends a request, which must succeed."""
        return wire.ask(self.lb.socket, command, patience_s=LONG_S, **args)

    def settled(self) -> None:
        """Waits until the expected workers are there, and all run."""
        until(self._runs, "all workers run", timeout_s=60)

    def _runs(self) -> bool:
        with contextlib.suppress(OSError, EOFError):
            return all(row["pid"] and row["state"] == "runs" for row in self.lb.ask("workers"))
        return False

    def _worker(self) -> dict[str, Any]:
        self.settled()
        return dict(self.rng.choice(self.lb.ask("workers")))

    # ---- calm ----------------------------------------------------------------------------

    def _reload(self) -> None:
        self.reload(self.world.varied(self.rng))

    def reload(self, config: Config) -> None:
        """Puts this configuration in force."""
        self.world.write(config)
        self.ask("reload")
        wanted = config["process"]["workers"]
        until(
            lambda: self._runs() and len(self.lb.ask("workers")) == wanted,
            f"{wanted} workers run",
            timeout_s=60,
        )

    def _rebalance(self) -> None:
        self.ask("rebalance")

    def _upgrade(self) -> None:
        self.settled()
        old = set(self.lb.pids())
        self.ask("upgrade")
        until(lambda: self._runs() and old.isdisjoint(self.lb.pids()), "new workers run")

    def _stop(self) -> None:
        """Stops a worker for a moment."""
        pid = self._worker()["pid"]
        send_signal(pid, signal.SIGSTOP)
        try:
            time.sleep(self.rng.uniform(0.05, 0.4))  # the time that the worker is stopped
        finally:
            os.kill(pid, signal.SIGCONT)

    def _helper(self) -> None:
        """Kills a process that carries no traffic."""
        name = self.rng.choice(HELPERS)
        # Old helpers of an upgrade may be about to end.
        until(lambda: titles(self.lb)[name] == 1, f"one {name} runs", timeout_s=60)
        old = self.lb.child(name).pid
        kill_and_wait(old)
        until(lambda: self.lb.child(name).pid != old, f"a new {name} runs", timeout_s=60)
        until(self.lb.answers, "it answers", timeout_s=60)

    def _drain(self) -> None:
        """Gives a backend no new sessions for a while."""
        names = [row["name"] for row in self.lb.ask("backends") if row["pool"] == self.drained]
        if len(names) > 1:
            backend = f"{self.drained}/{self.rng.choice(names)}"
            self.ask("drain", backend=backend)
            self.progress()
            self.ask("ready", backend=backend)

    # ---- what ends sessions --------------------------------------------------------------

    @contextlib.contextmanager
    def _killing(self, maximum: int, *, by_signal: bool) -> Iterator[None]:
        """Records begin and end of the block, which kills."""
        since = time.monotonic()
        try:
            yield
        finally:
            self.kills.append(Kill(since, time.monotonic(), maximum, by_signal))

    def _kill(self) -> None:
        """Kills a worker."""
        worker = self._worker()
        pid, index = worker["pid"], worker["index"]
        # One session more: it may have been accepted and have no row yet.
        self._strike(pid, lambda: self._friends(index) + 1)
        self.lb.wait_for_new_worker(index, pid)

    def _strike(self, pid: int, maximum: Callable[[], int]) -> None:
        """Kills a process that serves clients, which is stopped first, so that its sessions can be
        counted: maximum() does that. Raises ProcessLookupError if it has ended by itself."""
        stop_and_wait(pid)
        with self._killing(maximum(), by_signal=True):
            kill_and_wait(pid)

    def _kill_midway(self) -> None:
        """Kills a worker, an old or a new one, in the middle of a change. The change may fail, but
        must not hang, and must be complete or undone."""
        self.settled()
        change = self.rng.choice((self._rebalance, self._reload, self._upgrade))
        failed: list[BaseException] = []

        def make() -> None:
            try:
                change()
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=make, daemon=True)
        thread.start()
        self._wait_for_a_moment(thread)
        workers = _workers(self.lb)
        if workers:
            with contextlib.suppress(ProcessLookupError):
                self._strike(self.rng.choice(workers), lambda: self.friends)
        thread.join()
        if failed and not isinstance(failed[0], wire.AdminError):
            raise failed[0]
        self.did[f"{change.__name__[1:]} with a death"] += 1
        self.settled()

    def _wait_for_a_moment(self, change: threading.Thread) -> None:
        """Waits for a random time after the begin of a change or after its first new worker, at
        most until the change ends."""
        old = _workers(self.lb)
        if self.rng.random() < 0.5:
            while change.is_alive() and set(_workers(self.lb)) <= set(old):
                change.join(0.01)
        change.join(timeout=self.rng.random() * self.rng.choice([0, 0.02, 0.2, 2]))

    def _friends(self, worker: int) -> int:
        """Returns the number of a worker's TCP sessions whose clients are honest."""
        rows = self.ask("sessions", limit=ROWS_MAX)
        return sum(
            row["worker"] == worker
            and row["protocol"] != "udp"
            and row["client"].rpartition(":")[0] not in FOES
            for row in rows
        )

    def _end_sessions(self) -> None:
        """Ends some sessions as an operator, of honest or hostile clients."""
        rows = self.lb.ask("sessions", limit=100)
        for row in self.rng.sample(rows, min(5, len(rows))):
            self._end(row)

    def _end(self, row: dict[str, Any]) -> None:
        """Ends a session."""
        with self._killing(1, by_signal=False):
            try:
                self.ask("kill", session=row["id"])
            except wire.AdminError as error:
                if FOUND_NOTHING not in str(error):  # else the session had ended by itself
                    raise


def _workers(lb: Balancer) -> list[int]:
    return [pid for title, pid in pids(lb) if title.startswith("worker")]


CALM = ("reload", "rebalance", "upgrade", "stop", "helper", "drain")
ROUGH = (*CALM, "kill", "kill", "kill_midway", "kill_midway", "end_sessions")


def plan(rng: random.Random, rounds: int, kinds: Sequence[str]) -> list[str]:
    """Returns this number of events in random order, each as often as it stands in `kinds`, in
    proportion."""
    events = [kinds[n % len(kinds)] for n in range(rounds)]
    rng.shuffle(events)
    return events
