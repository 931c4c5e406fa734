"""The helper processes (control, checker, access log): each is a child with a channel, and is
restarted when it dies.

The death of a helper costs no traffic: its sockets belong to the supervisor, and what it has
written to the shared table stays in force.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import l4lb.log
from l4lb import frames
from l4lb.clock import monotonic_ms
from l4lb.supervisor.process.backoff import Backoff
from l4lb.supervisor.process.child import Child, channel, fork
from l4lb.supervisor.process.pulse import LOOK_EVERY_MS, SILENT_S, Pulse
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.process.seccomp import Guard

MESSAGES_A_TURN = 64
WAITING_MAX = 64 << 20  # bytes queued for a child that does not read
FLUSH_RETRY_MS = 5
HUNG = "it gave no sign of life; it is killed and another takes its place"
LOG = l4lb.log.get("supervisor")


class Helper:
    """One helper process. main gets the child's end of the channel. on_message gets each message of
    the child. on_start gets the pid of each new process, and 0 when it has ended. raw: the child
    keeps CAP_NET_RAW. guard: makes the filter of system calls for each new process. heartbeat:
    returns a number that changes while the process is well. A process that hangs is killed and
    replaced, and on_hang gets its pid."""

    def __init__(
        self,
        reactor: Reactor,
        name: str,
        main: Callable[[socket.socket], int],
        *,
        keep: list[int],
        on_message: Callable[[Mapping[str, Any]], None] = lambda _: None,
        on_start: Callable[[int], None] = lambda _: None,
        raw: bool = False,
        guard: Callable[[], Guard | None] = lambda: None,
        heartbeat: Callable[[], int] | None = None,
        on_hang: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.name = name
        self._reactor = reactor
        self._main = main
        self._keep = keep
        self._on_message = on_message
        self._on_start = on_start
        self._raw = raw
        self._guard = guard
        self._heartbeat = heartbeat
        self._on_hang = on_hang
        self._child: Child | None = None
        self._channel: socket.socket | None = None
        self._backoff = Backoff()
        self._stopping = False
        self._leaving = False  # ends so that another process takes its place
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._loses = False  # messages to a child that does not read
        self._inbox: frames.Inbox | None = None

    @property
    def pid(self) -> int:
        """Returns the child's pid; 0: it does not run."""
        return self._child.pid if self._child is not None else 0

    def fileno(self) -> int | None:
        """Returns the supervisor's end of the channel."""
        return self._channel.fileno() if self._channel is not None else None

    @property
    def alive(self) -> bool:
        return self._child is not None

    def start(self) -> None:
        """Starts the process; does nothing if there is one. why asked: it may have been started
        while a start after a death was put off."""
        if self._stopping or self._child is not None:
            return
        ours, theirs = channel()
        try:
            self._child = fork(
                self.name,
                lambda: self._main(theirs),
                keep=[*self._keep, theirs.fileno()],
                now_ms=monotonic_ms(),
                rights="raw" if self._raw else "none",
                guard=self._guard(),
            )
        except OSError as error:
            ours.close()
            LOG.error("cannot start, trying again", child=self.name, error=str(error))
            self._backoff = self._backoff.died(0)
            self._reactor.after(max(100, self._backoff.delay_ms), self.start)
            return
        finally:
            theirs.close()
        self._leaving = False
        self._channel = ours
        self._inbox = frames.Inbox(ours)
        self._reactor.watch(ours.fileno(), self._receive)
        self._reactor.watch(self._child.pidfd, self._reap)
        self._on_start(self._child.pid)
        if self._heartbeat is not None:
            self._look_later(self._child, self._heartbeat, Pulse(monotonic_ms(), self._heartbeat()))

    def _look_later(self, child: Child, heartbeat: Callable[[], int], pulse: Pulse) -> None:
        """Looks at the child's heartbeat as long as it runs; kills it when there is none."""

        def look() -> None:
            if self._child is not child or self._stopping:
                return
            now = pulse.after(monotonic_ms(), heartbeat())
            if not now.is_lost:
                self._look_later(child, heartbeat, now)
                return
            LOG.error(
                "a process gives no sign of life and is killed; another takes its place",
                child=self.name,
                pid=child.pid,
                silent_s=SILENT_S,
            )
            self._on_hang(child.pid)
            child.kill()

        self._reactor.after(LOOK_EVERY_MS, look)

    def _reap(self) -> None:
        child = self._child
        assert child is not None
        self._reactor.unwatch(child.pidfd)
        how = child.reap()
        self._child = None
        self._close_channel()
        self._on_start(0)
        if self._stopping:
            if how != "exited":
                LOG.error("a process ended early", child=self.name, pid=child.pid, how=how)
            return
        if self._leaving and how == "exited":
            self.start()
            return
        self._backoff = self._backoff.died(monotonic_ms() - child.started_ms)
        delay_ms = self._backoff.delay_ms
        LOG.error("a process died", child=self.name, pid=child.pid, how=how, restart_in_ms=delay_ms)
        if delay_ms:
            self._reactor.after(delay_ms, self.start)
        else:
            self.start()

    def _close_channel(self) -> None:
        if self._channel is not None:
            self._reactor.unwatch(self._channel.fileno())
            self._channel.close()
            self._channel = self._inbox = None
        self._waiting.clear()
        self._waiting_bytes = 0
        self._loses = False

    def _receive(self) -> None:
        for _ in range(MESSAGES_A_TURN):
            if self._inbox is None:
                return
            try:
                message = self._inbox.take()
            except ValueError:
                LOG.error("a malformed message was ignored", child=self.name)
                continue
            if message is None:
                if self._inbox.ended:
                    self._close_channel()
                return
            self._on_message(message)

    def send(self, message: Mapping[str, Any]) -> bool:
        """Sends one message, in parts if it is long. Returns False if it was lost, because the
        child has gone or does not read."""
        if self._channel is None:
            return False
        if self._waiting_bytes > WAITING_MAX:
            self._tell_lost()
            return False
        for frame in frames.packed(message):
            self._put(frame)
        return True

    def _tell_lost(self) -> None:
        """Logs that messages are lost, once until the child has read what waits for it."""
        if not self._loses:
            self._loses = True
            LOG.error(
                "a process does not read; messages to it are lost",
                child=self.name,
                pid=self.pid,
                waiting_bytes=self._waiting_bytes,
            )

    def _put(self, frame: bytes) -> None:
        self._waiting.append(frame)
        self._waiting_bytes += len(frame)
        if len(self._waiting) == 1:
            self._flush()

    def _flush(self) -> None:
        """Sends queued messages. Those that the socket does not take are sent when the child has
        read."""
        while self._waiting and self._channel is not None:
            try:
                self._channel.send(self._waiting[0])
            except BlockingIOError:
                self._reactor.after(FLUSH_RETRY_MS, self._flush)
                return
            except OSError:
                return  # the child has gone; _reap clears the queue
            self._waiting_bytes -= len(self._waiting.popleft())
        self._loses = False

    def stop(self) -> None:
        """Ends the child by closing its channel."""
        self._stopping = True
        self._close_channel()

    def replace(self, why: str) -> None:
        """Ends the process by closing its channel; another one takes its place."""
        if self._child is not None and not self._stopping:
            LOG.info("a process makes room for another one", child=self.name, why=why)
            self._leaving = True
            self._close_channel()

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()
