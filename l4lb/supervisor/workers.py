"""The set of workers: started, told what to do, reaped, started again.

A dead worker's listening sockets stay open here, so clients that queue meanwhile are served by
its replacement; what it held is taken back from its columns at once (csrc/shm/count.h).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import l4lb.log
from l4lb.native.table import Table
from l4lb.supervisor.backoff import Backoff
from l4lb.supervisor.child import Child, fork
from l4lb.supervisor.reactor import Reactor, monotonic_ms
from l4lb.supervisor.sockets import Listening
from l4lb.worker.main import Bound, WorkerSetup, run

SETTLE_RETRY_MS = 50
LOG = l4lb.log.get("supervisor")


@dataclass
class _Slot:
    """One worker row: its bell for commands, and its process while there is one."""

    bell: int
    child: Child | None = None
    backoff: Backoff = field(default_factory=Backoff)


class Workers:
    """Keeps `count` workers running until drain or stop.

    on_crash_loop is called once when a worker cannot be kept alive; on_empty whenever the last
    process has ended after drain or stop."""

    def __init__(
        self,
        reactor: Reactor,
        table: Table,
        listening: Sequence[Listening],
        count: int,
        vault_fd: int,
        *,
        on_crash_loop: Callable[[], None],
        on_empty: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._table = table
        self._listening = listening
        self._on_crash_loop = on_crash_loop
        self._on_empty = on_empty
        self._cpus = sorted(os.sched_getaffinity(0))
        self._slots = [_Slot(os.eventfd(0, os.EFD_NONBLOCK)) for _ in range(count)]
        self._event_fd = os.eventfd(0, os.EFD_NONBLOCK)
        self._lifeline, self._lifeline_ours = os.pipe()
        self._vault_fd = vault_fd
        self._stopping = False
        self._paused_told = [False] * count
        reactor.watch(self._event_fd, self._take_events)

    def start(self) -> None:
        for index in range(len(self._slots)):
            self._start_one(index)

    @property
    def alive(self) -> int:
        """How many worker processes there are."""
        return sum(slot.child is not None for slot in self._slots)

    def _start_one(self, index: int) -> None:
        slot = self._slots[index]
        if self._stopping or slot.child is not None:
            return
        bounds = [
            Bound(one.of_worker(index).fileno(), one.row, one.shared) for one in self._listening
        ]
        setup = WorkerSetup(
            self._table,
            index,
            bounds,
            slot.bell,
            self._event_fd,
            self._lifeline,
            self._vault_fd,
            self._cpus[index % len(self._cpus)],
            bells=[one.bell for one in self._slots],
        )
        shared = (*setup.bells, self._event_fd, self._lifeline, self._vault_fd)
        keep = [*shared, *(bound.fd for bound in bounds)]
        self._table.prepare_worker(index)
        now_ms = monotonic_ms()
        try:
            child = fork(f"worker {index}", lambda: run(setup), keep=keep, now_ms=now_ms)
        except OSError as error:
            LOG.error("cannot start a worker, trying again", worker=index, error=str(error))
            slot.backoff = slot.backoff.died(0)
            self._reactor.after(max(100, slot.backoff.delay_ms), lambda: self._start_one(index))
            return
        slot.child = child
        self._table.start_worker(index, pid=child.pid, cpu=setup.cpu, now_ms=now_ms)
        self._reactor.watch(child.pidfd, lambda: self._reap(index))

    def _reap(self, index: int) -> None:
        slot = self._slots[index]
        child = slot.child
        assert child is not None
        self._reactor.unwatch(child.pidfd)
        how = child.reap()
        slot.child = None
        self._take_events()
        lost = self._table.end_worker(index, restarted=not self._stopping)
        self._settle()
        if self._stopping:
            if lost:
                LOG.error("a worker ended early", worker=index, how=how, connections_lost=lost)
            self._release_sockets(index)
            if self.alive == 0:
                self._on_empty()
            return
        slot.backoff = slot.backoff.died(monotonic_ms() - child.started_ms)
        LOG.error(
            "a worker died", worker=index, pid=child.pid, how=how, connections_lost=lost,
            restart_in_ms=slot.backoff.delay_ms,
        )  # fmt: skip
        if slot.backoff.exhausted:
            LOG.critical(
                "a worker dies again and again; the service gives up",
                worker=index,
                deaths=slot.backoff.quick_deaths,
            )
            self._on_crash_loop()
        elif slot.backoff.delay_ms:
            self._reactor.after(slot.backoff.delay_ms, lambda: self._start_one(index))
        else:
            self._start_one(index)

    def _settle(self) -> None:
        if not self._table.settle():
            self._reactor.after(SETTLE_RETRY_MS, self._settle)
            return
        # Places became free, and whose turn it is may have changed.
        for slot in self._slots:
            os.eventfd_write(slot.bell, 1)

    def _take_events(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event_fd)
        for index in range(len(self._slots)):
            for event in self._table.take_events(index):
                if event.kind == "accept_paused":
                    self._tell_paused(index, event.a, event.b)
                elif event.kind == "secrets_failed":
                    self._tell_secrets_failed(index, event.a)
                elif event.kind == "drained":
                    self._release_sockets(index)

    def _tell_secrets_failed(self, index: int, error: int) -> None:
        LOG.error(
            "a worker could not load new certificates; it goes on with those before",
            worker=index,
            reason=os.strerror(error),
        )

    def _tell_paused(self, index: int, error: int, sessions: int) -> None:
        """Once until a quiet minute has passed: a service at its limit pauses often."""
        if self._paused_told[index]:
            return
        self._paused_told[index] = True
        reason = os.strerror(error) if error else "its limit of connections is reached"
        LOG.warning(
            "a worker does not accept for now; clients wait in the kernel's queue",
            worker=index,
            reason=reason,
            connections=sessions,
            remedy="raise the limit on open files (LimitNOFILE=, ulimit -n) or max_connections",
        )
        self._reactor.after(60_000, lambda: self._paused_told.__setitem__(index, False))

    def _release_sockets(self, index: int) -> None:
        """Closes this side of a worker's own sockets: nobody will accept from them again."""
        for one in self._listening:
            one.release(index, len(self._slots))

    def send(self, index: int, op: str, *, slot: int = 0, serial: int = 0, reason: str = "stopped",
             ) -> bool:  # fmt: skip
        """Queues a command for one worker and wakes it. False: it has stopped reading them."""
        queued = self._table.command(index, op, slot=slot, serial=serial, reason=reason)
        if queued:
            os.eventfd_write(self._slots[index].bell, 1)
        return queued

    def look_at_secrets(self) -> None:
        """The vault has changed."""
        for index, slot in enumerate(self._slots):
            if slot.child is not None:
                self.send(index, "secrets")

    def drain(self) -> None:
        """No more clients; each worker ends with its last session."""
        self._stopping = True
        self._send_all("drain", "stopped")
        if self.alive == 0:
            self._on_empty()

    def stop(self, reason: str) -> None:
        """Every session ends now, for this reason."""
        self._stopping = True
        self._send_all("stop", reason)

    def kill(self) -> None:
        """For workers that do not answer."""
        for slot in self._slots:
            if slot.child is not None:
                LOG.error("a worker does not end when told to; killed", pid=slot.child.pid)
                slot.child.kill()

    def _send_all(self, op: str, reason: str) -> None:
        for index, slot in enumerate(self._slots):
            if slot.child is not None:
                self.send(index, op, reason=reason)
