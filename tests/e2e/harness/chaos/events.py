"""What operators and bad luck do to the balancer, and how each is seen to be over.

A calm event ends no session. One that kills says which sessions it may have ended: `Kill` has the
time that it took, and how many at most.
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

import psutil

from .. import wire
from ..balancer import ROWS_MAX, Balancer
from ..deadline import PATIENCE_S, until
from ..processes import kill_and_wait, send_signal
from .leftovers import pids, titles
from .world import FOES, World

LONG_S = PATIENCE_S * 6  # for a reload or an upgrade on a busy machine
HELPERS = ("checker", "control", "logger")
FOUND_NOTHING = "not_found"


@dataclass(frozen=True)
class Kill:
    """since, until: the times before the kill was asked for and after it was done; on a busy
    machine a whole transfer may begin in between, and be cut. most: how many transfers it may have
    cut. by_signal: the kernel ended the connections, so that an end may look clean."""

    since: float
    until: float
    most: int
    by_signal: bool


class Operator:
    """Makes events, by a plan of chance."""

    def __init__(
        self, world: World, rng: random.Random, progress: Callable[[], None], friends: int
    ) -> None:
        """progress: returns when a transfer of each kind was begun and done after the call.
        friends: how many honest clients there are, with a transfer each."""
        self.world, self.lb, self.rng = world, world.lb, rng
        self.progress, self.friends = progress, friends
        self.did: Counter[str] = Counter()
        self.kills: list[Kill] = []

    def act(self, name: str) -> None:
        """Makes an event; returns when it is over, and everybody was served after it."""
        getattr(self, "_" + name)()
        self.did[name] += 1
        self.progress()

    def ask(self, command: str, **args: Any) -> Any:
        """A request, which must be answered, and well."""
        return wire.ask(self.lb.socket, command, patience_s=LONG_S, **args)

    def settled(self) -> None:
        """The workers that there shall be are there, and all run."""
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

    def reload(self, config: dict[str, Any]) -> None:
        """Makes this configuration the running one."""
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
        """A worker has no turn for a moment."""
        pid = self._worker()["pid"]
        send_signal(pid, signal.SIGSTOP)
        try:
            time.sleep(self.rng.uniform(0.05, 0.4))  # the event itself
        finally:
            os.kill(pid, signal.SIGCONT)

    def _helper(self) -> None:
        """A process that carries no traffic dies."""
        name = self.rng.choice(HELPERS)
        # An upgrade's old ones may be about to leave.
        until(lambda: titles(self.lb)[name] == 1, f"one {name} runs", timeout_s=60)
        old = self.lb.child(name).pid
        kill_and_wait(old)
        until(lambda: self.lb.child(name).pid != old, f"a new {name} runs", timeout_s=60)
        until(self.lb.answers, "it answers", timeout_s=60)

    def _drain(self) -> None:
        """A backend gets no new sessions for a while."""
        names = [row["name"] for row in self.lb.ask("backends") if row["pool"] == "plain"]
        if len(names) > 1:
            backend = f"plain/{self.rng.choice(names)}"
            self.ask("drain", backend=backend)
            self.progress()
            self.ask("ready", backend=backend)

    # ---- what ends sessions --------------------------------------------------------------

    @contextlib.contextmanager
    def _killing(self, most: int, *, by_signal: bool) -> Iterator[None]:
        """The block kills; when it began and ended is noted."""
        since = time.monotonic()
        try:
            yield
        finally:
            self.kills.append(Kill(since, time.monotonic(), most, by_signal))

    def _kill(self) -> None:
        """A worker dies. It is stopped first, so that its sessions can be counted."""
        worker = self._worker()
        pid, index = worker["pid"], worker["index"]
        send_signal(pid, signal.SIGSTOP)
        until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, "it has stopped")
        # One more: it may have been accepted, and have no row yet.
        with self._killing(self._friends(index) + 1, by_signal=True):
            kill_and_wait(pid)
        self.lb.wait_for_new_worker(index, pid)

    def _kill_midway(self) -> None:
        """A worker dies, an old or a new one, while all changes. The change may fail; it must not
        hang, and what comes of it must be whole."""
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
            with (
                self._killing(self.friends, by_signal=True),
                contextlib.suppress(ProcessLookupError),
            ):
                kill_and_wait(self.rng.choice(workers))
        thread.join()
        if failed and not isinstance(failed[0], wire.AdminError):
            raise failed[0]
        self.did[f"{change.__name__[1:]} with a death"] += 1
        self.settled()

    def _wait_for_a_moment(self, change: threading.Thread) -> None:
        """Some time from the beginning of a change, or from the first new worker's; at its end at
        the latest."""
        old = _workers(self.lb)
        if self.rng.random() < 0.5:
            while change.is_alive() and set(_workers(self.lb)) <= set(old):
                change.join(0.01)
        change.join(timeout=self.rng.random() * self.rng.choice([0, 0.02, 0.2, 2]))

    def _friends(self, worker: int) -> int:
        """How many sessions of TCP a worker has whose clients are honest."""
        rows = self.ask("sessions", limit=ROWS_MAX)
        return sum(
            row["worker"] == worker
            and row["protocol"] != "udp"
            and row["client"].rpartition(":")[0] not in FOES
            for row in rows
        )

    def _end_sessions(self) -> None:
        """An operator ends some sessions, whosever they are."""
        rows = self.lb.ask("sessions", limit=100)
        for row in self.rng.sample(rows, min(5, len(rows))):
            with self._killing(1, by_signal=False):
                try:
                    self.ask("kill", session=row["id"])
                except wire.AdminError as error:
                    if FOUND_NOTHING not in str(error):  # else it has ended by itself
                        raise


def _workers(lb: Balancer) -> list[int]:
    return [pid for title, pid in pids(lb) if title.startswith("worker")]


CALM = ("reload", "rebalance", "upgrade", "stop", "helper", "drain")
ROUGH = (*CALM, "kill", "kill", "kill_midway", "kill_midway", "end_sessions")


def plan(rng: random.Random, rounds: int, kinds: Sequence[str]) -> list[str]:
    """So many events; each kind comes about equally often, in random order."""
    events = [kinds[n % len(kinds)] for n in range(rounds)]
    rng.shuffle(events)
    return events
