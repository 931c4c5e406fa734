"""The new program's part of an upgrade: takes the service over. execve.py is the old program's
part.

Until the new program runs completely, nothing of the old one is given up. If the new program fails
before, it starts the old one again, which goes on. After that, the old workers leave their sockets
to the new workers and hand them their sessions. Their last counts are added to the book, the
supervisor's own counters.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NoReturn

import msgpack

import l4lb
import l4lb.log
from l4lb import inherited
from l4lb.certificates import bundle
from l4lb.clock import monotonic_ms
from l4lb.config.model import Config
from l4lb.native import counts as native_counts
from l4lb.native.table import Table
from l4lb.supervisor import ranges, tls_secrets
from l4lb.supervisor.process import seccomp
from l4lb.supervisor.process.child import Child
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.sockets.http import OpenWeb, open_web
from l4lb.supervisor.sockets.listening import AdminSocket, Listening
from l4lb.supervisor.sockets.options import try_pools
from l4lb.supervisor.table import disks
from l4lb.supervisor.table.membership import Membership, capacities
from l4lb.supervisor.upgrade import carried_counts, carried_state, execve, old_counts, state_file
from l4lb.supervisor.upgrade.state import State, Steward, opened
from l4lb.supervisor.workers import mailbox
from l4lb.supervisor.workers.mailbox import Mailbox
from l4lb.supervisor.workers.workers import Workers

READY_TIMEOUT_S = 60  # a new program that is not ready by then gives way to the old one
CLOSE_CHANNEL_MS = 100  # time for the old control process to pass on its last answer
COUNTS_BYTES = 1 << 20
STOP_MS = 2_000  # time for old workers to end their sessions
LEAVE_MS, LEAVE_LOOK_S = 250, 0.002  # time for old workers to leave their sockets
# Old workers' sessions are asked for every FOLLOW_SOON_MS during SOON_MS, then every FOLLOW_MS.
SOON_MS, FOLLOW_SOON_MS, FOLLOW_MS = 2_000, 20, 200
STEWARD_S = 1.0
LOG = l4lb.log.get("supervisor")


def check(fd: int) -> int:
    """Checks that this program can go on from the state in fd. Prints `ready VERSION`, or
    raises."""
    state = State.from_plain(state_file.read(fd))
    config = ranges.foreseen(state.ranges, state.source.running)
    table = Table(capacities(config))
    membership = Membership(table)
    _fill(table, membership, config, state)
    seccomp.check(config)
    bundle.build(config, tls_secrets.files_of(state.known), bundle.Profiles())
    open_web(config.process, OpenWeb.of_carried(state.web_fd, state.web, config.process))
    try_pools(config.pools.values())
    carried_counts.book(table, membership, state.counts)
    print(f"{execve.READY.decode()}{l4lb.__version__}", flush=True)  # noqa: T201 - the answer
    return 0


def _fill(table: Table, membership: Membership, config: Config, state: State) -> None:
    """Writes the configuration and the old program's state into an empty table. Raises
    L4lbError."""
    caches = membership.policy.caches
    if state.caches is None:
        disks.check_new(config, state.disks)
    else:
        caches.go_on(state.caches)
        caches.open_disks(config, state.disks, must=not state.back)
    with membership.policy.sets.made(carried_state.batch_of(state.lists)):
        membership.start(config, carried_state.key_of(state.known))
    carried_state.restore(table, membership, state.known)
    carried_counts.book_each(table, state.counts)


class Predecessor:
    """The old program's legacy: open descriptors, running processes, and its state."""

    def __init__(self, fd: int) -> None:
        os.environ.pop(state_file.VARIABLE, None)
        os.set_inheritable(fd, False)
        self._told = state_file.read(fd)
        state = self.state = State.from_plain(self._told)
        os.close(fd)
        for one in state.keep:
            os.set_inheritable(one, False)
        inherited.close_strays()  # descriptors that an older version has leaked
        signal.signal(signal.SIGALRM, lambda *_: self.go_back("it was not ready in time"))
        signal.alarm(READY_TIMEOUT_S)
        self.source = state.source
        self._web = OpenWeb.of_carried(state.web_fd, state.web, self.source.running.process)
        self._workers = {
            pid: Child("old worker", pid, os.pidfd_open(pid), monotonic_ms())
            for pid in (*state.workers, *state.older)
            if _is_child(pid)
        }
        self._old_mailboxes: dict[int, Mailbox] = {}  # to the old workers, by pid
        self._killed: set[int] = set()
        self._delivered = False
        self._began_ms = 0
        self.succeeded = False

    @property
    def _steward(self) -> Steward:
        assert self.state.steward is not None  # only the state of a check has none
        return self.state.steward

    def mark(self, marked: Callable[[Config], Config]) -> None:
        """Binds ranges of ports as this program can."""
        self.source = replace(self.source, file=marked(self.source.file))

    # ---- what stays open -----------------------------------------------------------------------

    def admin(self) -> AdminSocket:
        admin = self.state.admin
        return AdminSocket(admin.path, socket.socket(fileno=admin.fd), admin.lock_fd)

    def open_web(self) -> OpenWeb | None:
        """Returns the old program's HTTP socket if that program goes on, else the one that the
        configuration asks for. Raises L4lbError."""
        if self.state.back:
            return self._web
        return open_web(self.source.running.process, self._web)

    def listening(self) -> Iterator[Listening]:
        return map(opened, self.state.listening)

    def fill(self, table: Table, membership: Membership) -> None:
        """Writes the configuration and the old program's state into an empty table that no other
        process has yet. Raises L4lbError."""
        _fill(table, membership, self.source.running, self.state)
        if self.state.sticky is not None:
            carried_state.restore_sticky(table, membership, self.state.sticky, monotonic_ms())

    def close_web_but(self, used: OpenWeb | None) -> None:
        """Closes the old HTTP socket if the configuration no longer asks for it."""
        if self._web is not None and (used is None or used.setup.sock is not self._web.setup.sock):
            self._web.close()

    # ---- places at backends that old sessions hold ----

    def have_leave(self, table: Table, membership: Membership) -> None:
        """Makes the old workers take no more clients. Counts the places that their sessions hold at
        backends here too, so that limits hold over both programs and queues keep their order."""
        if not self._steward.tells:
            return  # an older version: its workers leave later
        for told in self.state.workers.values():
            sock = socket.socket(fileno=os.dup(told.post_fd))
            with sock, contextlib.suppress(OSError):
                sock.send(mailbox.message(mailbox.LEAVE, arg=mailbox.FOR_GOOD))
        end_ms = monotonic_ms() + LEAVE_MS
        while not self._count_elsewhere(table, membership) and monotonic_ms() < end_ms:
            time.sleep(LEAVE_LOOK_S)

    def _count_elsewhere(self, table: Table, membership: Membership) -> bool:
        """Counts the sessions that old workers still have. Returns whether all have left their
        sockets."""
        told = self._ask_held() or {"left": True, "backends": []}
        held = {(pool, name): sessions for pool, name, sessions in told["backends"]}
        for key, row in membership.backends.live.items():
            native_counts.set_elsewhere(table, row, held.get(key, 0))
        return bool(told["left"])

    def _ask_held(self) -> dict[str, Any] | None:
        with socket.socket(fileno=os.dup(self._steward.fd)) as books:
            books.settimeout(STEWARD_S)
            try:
                books.sendall(old_counts.HELD + b"\n")
                said = b""
                while not said.endswith(b"\n"):
                    more = books.recv(old_counts.HELD_BYTES)
                    if not more:
                        return None
                    said += more
                found: dict[str, Any] = json.loads(said)
            except (OSError, ValueError) as error:
                LOG.error("the sessions of old workers are not known", error=repr(error))
                return None
            return found

    def _follow(self, reactor: Reactor, table: Table, membership: Membership) -> None:
        if not self._delivered:
            self._count_elsewhere(table, membership)
            soon = monotonic_ms() - self._began_ms < SOON_MS
            reactor.after(
                FOLLOW_SOON_MS if soon else FOLLOW_MS,
                lambda: self._follow(reactor, table, membership),
            )

    # ---- back, or on ---------------------------------------------------------------------------

    def go_back(self, why: str) -> NoReturn:
        """Starts the old program again, which goes on from the state that it wrote."""
        LOG.critical("the new program is not ready; back to the old one", reason=why)
        signal.alarm(0)
        if self.state.back:
            os._exit(1)  # this is the old program: there is no other
        state = {key: value for key, value in self._told.items() if key != "format"}
        try:
            execve.become(list(self.state.old), state, self.state.keep, back=True)
        finally:
            os._exit(1)

    def succeed(self, reactor: Reactor, workers: Workers, table: Table,
                membership: Membership, drain_timeout_ms: int) -> None:  # fmt: skip
        """Makes the old workers hand everything over, now that this program is ready."""
        self.succeeded = True
        signal.alarm(0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        carried_counts.book(table, membership, self.state.counts)
        for told in (self.state.sticky, self.state.lists):
            if told is not None:
                os.close(told["fd"])
        for fd in tls_secrets.carried_fds(self.state.known):
            os.close(fd)
        membership.policy.caches.close_unused(self.state.caches)
        disks.close_unused(self.source.running, self.state.disks)
        self._answer(reactor)
        self._began_ms = monotonic_ms()
        for pid in self.state.helpers:
            self._reap_later(reactor, pid)
        workers.older = self._workers
        for pid, child in self._workers.items():
            old = self.state.workers.get(pid)
            if old is not None:  # else an earlier upgrade has told it to leave
                self._old_mailboxes[pid] = Mailbox(reactor, socket.socket(fileno=old.post_fd))
                self._leave_to(self._old_mailboxes[pid], old.index, workers)
            reactor.watch(
                child.pidfd,
                lambda pid=pid: self._ended(pid, reactor, table, membership),  # type: ignore[misc]
            )
        reactor.after(drain_timeout_ms, lambda: self.stop(reactor, "drain_timeout"))
        if not self._workers:
            self._all_ended(table, membership)
        elif self._steward.tells:
            self._follow(reactor, table, membership)

    def _leave_to(self, old_mailbox: Mailbox, index: int, workers: Workers) -> None:
        """Makes an old worker leave its sockets to the new workers, and its sessions to one of
        them."""
        takers = workers.staying
        old_mailbox.send(mailbox.LEAVE, arg=mailbox.FOR_GOOD)
        workers.hand_overs.everything(old_mailbox, takers[index % len(takers)])

    def _answer(self, reactor: Reactor) -> None:
        """Answers the request for the upgrade, through the old control process."""
        fd, number = self.state.answer.fd, self.state.answer.id
        if fd is None:
            return
        old = socket.socket(fileno=fd)
        if number is not None:
            try:
                old.send(msgpack.packb({"id": number, **self.outcome}))
            except OSError as error:
                LOG.warning("the upgrade's answer was lost", error=str(error))
        reactor.after(CLOSE_CHANNEL_MS, old.close)

    @property
    def outcome(self) -> dict[str, Any]:
        """The answer to the request for the upgrade."""
        if self.state.back:
            why = "the new program was not ready; the old one goes on: see the log"
            return {"ok": False, "error": {"code": "failed", "message": why}}
        return {"ok": True, "result": {"version": l4lb.__version__}}

    def _reap_later(self, reactor: Reactor, pid: int) -> None:
        if not _is_child(pid):
            return
        child = Child("old helper", pid, os.pidfd_open(pid), monotonic_ms())

        def ended() -> None:
            reactor.unwatch(child.pidfd)
            how = child.reap()
            if how != "exited":
                LOG.error("an old process did not end by itself", pid=pid, how=how)

        reactor.watch(child.pidfd, ended)

    # ---- the old workers' end ------------------------------------------------------------------

    def _ended(self, pid: int, reactor: Reactor, table: Table, membership: Membership) -> None:
        child = self._workers.pop(pid)
        if pid in self._old_mailboxes:
            self._old_mailboxes.pop(pid).close()
        reactor.unwatch(child.pidfd)
        how = child.reap()
        if pid in self._killed:
            LOG.warning("an old worker was ended with its sessions", pid=pid)
        elif how != "exited":
            LOG.error("an old worker did not end by itself", pid=pid, how=how)
        if not self._workers:
            self._all_ended(table, membership)

    @property
    def remains(self) -> bool:
        """Returns whether an old worker has sessions that it could not hand over."""
        return bool(self._workers)

    def stop(self, reactor: Reactor, reason: str) -> None:
        """Ends the sessions that old workers still have, and then these workers. reason:
        "drain_timeout" or "stopped"."""
        if not self._workers:
            return
        LOG.warning("old workers end, with their sessions", why=reason, pids=list(self._workers))
        told = self._steward
        if told.stops:
            with contextlib.suppress(OSError):  # the steward has gone: the workers are killed
                os.write(told.fd, old_counts.stop(reason))
        reactor.after(STOP_MS if told.stops else 0, self._kill)

    def _kill(self) -> None:
        """Kills old workers that cannot be told to stop (two programs back), or have not stopped in
        time."""
        for child in self._workers.values():
            self._killed.add(child.pid)
            child.kill()

    def _all_ended(self, table: Table, membership: Membership) -> None:
        """Adds the counts that the old workers made since the state was written."""
        if self._delivered:
            return
        self._delivered = True
        for row in membership.backends.live.values():
            native_counts.set_elsewhere(table, row, 0)
        membership.policy.caches.alone()
        os.close(self.state.lifeline_fd)
        with socket.socket(fileno=self._steward.fd) as books:
            books.settimeout(5.0)
            try:
                books.sendall(old_counts.COUNTS)
                data = b"".join(iter(lambda: books.recv(COUNTS_BYTES), b""))
                told = carried_counts.difference(json.loads(data), self.state.counts)
                carried_counts.book(table, membership, told)
                carried_counts.book_each(table, {**told, "each": {}})
            except (OSError, ValueError, KeyError, TypeError) as error:
                LOG.error("the last counts of the old program are lost", error=repr(error))
        if _is_child(self._steward.pid):
            os.waitpid(self._steward.pid, 0)
        if self.state.writer_fd is not None:
            os.close(self.state.writer_fd)  # the old log writer writes what is left, and ends
        LOG.info("the old program's workers have handed over", version=self.state.version)


def _is_child(pid: int) -> bool:
    """Returns whether pid is a child of this process that was not reaped yet."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
