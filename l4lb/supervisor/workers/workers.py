"""The set of workers: they are started, sent commands, reaped, and restarted.

The listening sockets of a dead worker stay open here, so that clients in their queues are served by
its replacement. The places and counts of a dead worker are subtracted from the shared ones at once
(csrc/shm/count.h). resize.py changes the number of workers and their sockets.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import l4lb.log
from l4lb.clock import monotonic_ms
from l4lb.config.bounds import WORKERS
from l4lb.native.packet_rows import PACKET_ROW
from l4lb.native.rows import Event
from l4lb.native.table import Table
from l4lb.supervisor.process.backoff import Backoff
from l4lb.supervisor.process.child import Child, fork
from l4lb.supervisor.process.faults import contained, fault
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.process.seccomp import Guard
from l4lb.supervisor.sockets.listening import Listening
from l4lb.supervisor.workers import mailbox
from l4lb.supervisor.workers.events import WorkerEvents
from l4lb.supervisor.workers.hand_over import HandOvers
from l4lb.supervisor.workers.mailbox import Mailbox
from l4lb.worker.main import Bound, SharedFds, WorkerSetup, run

SETTLE_RETRY_MS = 50
FAULT_RETRY_MS = 1_000  # after a fault of ours at a worker's end, before the next one is started
UNLISTEN_MS = 1_000  # time for a worker to accept the clients that are queued
LOG = l4lb.log.get("supervisor")


@dataclass
class Slot:
    """One worker row: the eventfd that wakes the worker for commands, and its process while there
    is one. leaving: the worker is not needed any more. wanted: it is needed (again) and started
    when it has ended."""

    wakeup_fd: int
    child: Child | None = None
    mailbox: Mailbox | None = None
    backoff: Backoff = field(default_factory=Backoff)
    leaving: bool = False
    wanted: bool = True


@dataclass
class _Asked:
    """A request to workers. missing: the index of a worker once for each answer that has not come.
    done: called once when all have come. A dead worker's answers are not waited for."""

    missing: list[int]
    done: Callable[[], None]


class Workers:
    """Keeps `count` workers running until drain or stop.

    on_crash_loop: called once when a worker cannot be kept alive. on_empty: called when the last
    process has ended after drain or stop. on_left: gets the index of a worker that left and has
    ended; on_died: that of each. disk_fds: folders of caches, for guard too, a worker's filter.
    """

    def __init__(
        self,
        reactor: Reactor,
        table: Table,
        count: int,
        shared: SharedFds,
        *,
        disk_fds: Sequence[int],
        guard: Callable[[Sequence[int], bool], Guard | None],
        events: WorkerEvents,
        on_crash_loop: Callable[[], None],
        on_empty: Callable[[], None],
        on_left: Callable[[int], None],
        on_died: Callable[[int], None],
    ) -> None:
        self._reactor = reactor
        self._table = table
        self.listening: list[Listening] = []  # addresses from which they take clients
        self.older: Mapping[int, Child] = {}  # older programs' workers with sessions, by pid
        self._on_crash_loop = on_crash_loop
        self._on_empty = on_empty
        self._on_left = on_left
        self._cpus = sorted(os.sched_getaffinity(0))
        # One for every possible worker: each must be able to wake any other (csrc/run/lines.h).
        self.wakeup_fds = [
            os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(WORKERS[1])
        ]
        self.slots = {index: Slot(self.wakeup_fds[index]) for index in range(count)}
        self._event_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lifeline, self._lifeline_ours = os.pipe()
        self._shared, self._disk_fds = shared, disk_fds
        self.flows_fd: Callable[[], int] = lambda: -1  # of the kernel's map; -1: there is none
        self._on_died = on_died
        self._guard = guard
        self._events = events
        self._stopping = False
        self._numbers = itertools.count(1)
        self._asked: dict[int, _Asked] = {}
        self.hand_overs = HandOvers(self.mailbox_of)
        self._hold_udp = False  # for workers being started; see WorkerSetup
        reactor.watch(self._event_fd, self._take_events)

    def start(self, *, hold_udp: bool = False) -> None:
        """Starts all workers. hold_udp: the old program's workers will hand UDP sessions over."""
        self._hold_udp = hold_udp
        for index in list(self.slots):
            self.start_one(index)
        self._hold_udp = False

    @property
    def alive(self) -> int:
        """Returns the number of worker processes."""
        return sum(slot.child is not None for slot in self.slots.values())

    @property
    def lifeline_fd(self) -> int:
        """Returns the supervisor's end of the lifeline. Workers serve while any process has it
        open."""
        return self._lifeline_ours

    def mailboxes(self) -> dict[int, tuple[int, int]]:
        """Returns for each worker process, by pid, its index and the supervisor's end of its
        mailbox."""
        return {
            slot.child.pid: (index, slot.mailbox.fileno())
            for index, slot in self.slots.items()
            if slot.child is not None and slot.mailbox is not None
        }

    @property
    def staying(self) -> list[int]:
        """Returns the indexes of the workers that are to stay."""
        return [index for index, slot in self.slots.items() if slot.wanted]

    @property
    def serving(self) -> list[int]:
        """Returns the indexes of the workers that have a process and are not leaving."""
        return [i for i, slot in self.slots.items() if slot.child is not None and not slot.leaving]

    def start_one(self, index: int) -> None:
        slot = self.slots.get(index)
        if slot is None or self._stopping or slot.child is not None:
            return
        bounds = [
            Bound(one.of_worker(index).fileno(), one.row, one.tag, one.shared)
            for one in self.listening
            if one.is_read_by(index) and (slot.wanted or one.has_socket_of(index))
        ]
        slot.leaving = False
        now_ms = monotonic_ms()
        try:
            slot.mailbox = Mailbox(self._reactor)
            child = self._fork(index, slot, bounds, now_ms)
        except OSError as error:
            LOG.error("cannot start a worker, trying again", worker=index, error=str(error))
            self._close_mailbox(slot)
            slot.backoff = slot.backoff.died(0)
            self._start_later(index, max(100, slot.backoff.delay_ms))
            return
        slot.mailbox.forked()
        slot.child = child
        cpu = self._cpus[index % len(self._cpus)]
        self._table.start_worker(index, pid=child.pid, cpu=cpu, now_ms=now_ms)
        self._reactor.watch(child.pidfd, lambda: self._reap(index))
        self.hand_overs.started(index)

    def _start_later(self, index: int, delay_ms: int) -> None:
        def start() -> None:
            slot = self.slots.get(index)
            # why: a worker that is not needed any more by now must not come back.
            if slot is not None and not slot.leaving:
                self.start_one(index)

        self._reactor.after(delay_ms, start)

    def _fork(self, index: int, slot: Slot, bounds: list[Bound], now_ms: int) -> Child:
        assert slot.mailbox is not None
        assert slot.mailbox.theirs is not None
        setup = WorkerSetup(
            self._table, index, bounds, slot.wakeup_fd, slot.mailbox.theirs.fileno(),
            self._event_fd, self._lifeline, self._shared._replace(flows=max(0, self.flows_fd())),
            self._cpus[index % len(self._cpus)], self.wakeup_fds, hold_udp=self._hold_udp,
        )  # fmt: skip
        self._table.prepare_worker(index)
        return fork(
            f"worker {index}", lambda: run(setup), keep=[*setup.fds, *self._disk_fds],
            now_ms=now_ms, rights="raw", guard=self._guard(self._disk_fds, setup.shared.flows > 0),
        )  # fmt: skip

    def _close_mailbox(self, slot: Slot) -> None:
        if slot.mailbox is not None:
            slot.mailbox.close()
            slot.mailbox = None

    def _reap(self, index: int) -> None:
        slot = self.slots[index]
        child = slot.child
        assert child is not None
        self._reactor.unwatch(child.pidfd)
        try:
            self._bury(index, slot, child)
        except Exception:
            fault(f"the end of worker {index}")
            slot.child = None
            self._reactor.after(FAULT_RETRY_MS, lambda: self._after_fault(index))

    def _after_fault(self, index: int) -> None:
        """Makes up for the failed handling of a worker's end, as far as others wait for it."""
        self._settle()
        self._stop_waiting_for(index)
        slot = self.slots.get(index)
        if slot is not None and slot.leaving and not self._stopping:
            self._on_left(index)
        elif not self._stopping:
            self.start_one(index)
        elif self.alive == 0:
            self._on_empty()

    def _bury(self, index: int, slot: Slot, child: Child) -> None:
        slot.child = None
        how = child.reap()
        self._close_mailbox(slot)
        self._take_events()
        stays = not self._stopping and not slot.leaving
        lost = self._table.end_worker(index, restarted=stays)
        self._on_died(index)
        self._settle()
        self._stop_waiting_for(index)
        if not stays and (lost or how != "exited"):
            LOG.error("a worker ended early", worker=index, pid=child.pid, how=how, lost=lost)
        if self._stopping:
            self._release_sockets(index)
            if self.alive == 0:
                self._on_empty()
            return
        if slot.leaving:
            self._on_left(index)
            return
        slot.backoff = slot.backoff.died(monotonic_ms() - child.started_ms)
        LOG.error(
            "a worker died", worker=index, pid=child.pid, how=how, connections_lost=lost,
            restart_in_ms=slot.backoff.delay_ms,
        )  # fmt: skip
        if slot.backoff.exhausted:
            LOG.critical("a worker dies again and again; the service gives up", worker=index,
                         deaths=slot.backoff.quick_deaths)  # fmt: skip
            self._on_crash_loop()
        elif slot.backoff.delay_ms:
            self._start_later(index, slot.backoff.delay_ms)
        else:
            self.start_one(index)

    def retire(self, index: int) -> None:
        """Removes a worker that has ended: it is not started again, and not shown any more."""
        del self.slots[index]
        self._table.retire_worker(index)

    @property
    def stopping(self) -> bool:
        return self._stopping

    def _settle(self) -> None:
        if not self._table.settle():
            self._reactor.after(SETTLE_RETRY_MS, self._settle)
            return
        # Workers are woken because places have become free, and another worker's client may be
        # next.
        for slot in self.slots.values():
            os.eventfd_write(slot.wakeup_fd, 1)

    def _take_events(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event_fd)
        for index in list(self.slots):
            for event in self._table.take_events(index):
                with contained(f"event {event.kind} of worker {index}"):
                    self._take_event(index, event)

    def _take_event(self, index: int, event: Event) -> None:
        if event.kind == "drained" and self._stopping:
            self._release_sockets(index)
        elif event.kind == "unlistened":
            self._answered(event.b, index)
        elif event.kind != "handed" or not self.hand_overs.ended(event.a, event.b):
            self._events.take(index, event)

    def _release_sockets(self, index: int) -> None:
        """Closes the supervisor's copies of a worker's own sockets: nobody will accept from them
        again."""
        for one in self.listening:
            one.release(index, self.slots.keys())

    def send(self, index: int, op: str, *, slot: int = 0, serial: int = 0, reason: str = "stopped",
             ) -> bool:  # fmt: skip
        """Queues a command for one worker and wakes it. Returns False if the worker has stopped
        reading commands."""
        if index not in self.slots and index != PACKET_ROW:
            return False
        queued = self._table.command(index, op, slot=slot, serial=serial, reason=reason)
        if queued and index != PACKET_ROW:  # the packet process looks for commands by itself
            os.eventfd_write(self.slots[index].wakeup_fd, 1)
        return queued

    def load_secrets(self) -> None:
        """Makes the workers load the vault, which has changed."""
        self._send_all("secrets")

    def recount(self) -> None:
        """Makes the workers count again for the listeners' limits, which may have changed."""
        self._send_all("recount")

    # ---- mailboxes -----------------------------------------------------------------------------

    def tell(
        self, index: int, op: int, *, row: int = 0, arg: int = 0, number: int = 0, tag: int = 0,
        fd: int = -1,
    ) -> None:  # fmt: skip
        to = self.mailbox_of(index)
        if to is not None:
            to.send(op, row=row, arg=arg, number=number, tag=tag, fd=fd)

    def mailbox_of(self, index: int) -> Mailbox | None:
        """Returns the mailbox of a worker that has a process."""
        slot = self.slots.get(index)
        return slot.mailbox if slot is not None else None

    def ask_to_unlisten(
        self, ones: list[Listening], indexes: list[int], done: Callable[[], None]
    ) -> None:
        """Makes workers accept what is queued at these sockets and close them. done is called when
        all have, or after UNLISTEN_MS."""
        number = next(self._numbers)
        asked = self._asked[number] = _Asked([index for index in indexes for _ in ones], done)
        for index in indexes:
            for one in ones:
                self.tell(index, mailbox.UNLISTEN, row=one.row, number=number, tag=one.tag)

        def too_late() -> None:
            if asked.missing:
                asked.missing.clear()
                self._answered(number, -1)

        self._reactor.after(UNLISTEN_MS, too_late)
        self._answered(number, -1)

    def _answered(self, number: int, index: int) -> None:
        asked = self._asked.get(number)
        if asked is None:
            return
        if index in asked.missing:
            asked.missing.remove(index)
        if not asked.missing:
            del self._asked[number]
            asked.done()

    def _stop_waiting_for(self, index: int) -> None:
        """Ends the waiting for a worker's answers, because it has died."""
        for number, asked in list(self._asked.items()):
            asked.missing[:] = [one for one in asked.missing if one != index]
            self._answered(number, -1)
        self.hand_overs.died(index)

    # ---- the end -------------------------------------------------------------------------------

    def drain(self) -> None:
        """Serves the clients in the queues and takes no more; each worker ends with its last
        session."""
        self._stopping = True
        self._send_all("drain", "stopped")
        if self.alive == 0:
            self._on_empty()

    def stop(self, reason: str) -> None:
        """Ends every session now, for this reason."""
        self._stopping = True
        self._send_all("stop", reason)

    def kill(self) -> None:
        """Kills workers that do not answer."""
        for slot in self.slots.values():
            if slot.child is not None:
                LOG.error("a worker does not end when told to; killed", pid=slot.child.pid)
                slot.child.kill()

    def _send_all(self, op: str, reason: str = "stopped") -> None:
        for index, slot in self.slots.items():
            if slot.child is not None:
                self.send(index, op, reason=reason)
