"""A job: a child does some work beside the service, writes its answer to a pipe, and ends. A child
that takes too long is killed. An answer is read up to a maximum size."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from l4lb.clock import monotonic_ms
from l4lb.supervisor.process.child import Child, fork_to_answer
from l4lb.supervisor.process.reactor import Reactor

READ_BYTES = 1 << 20


@dataclass(frozen=True)
class Outcome:
    """The result of a job. said: the child's answer. how: "exited" if all went well, else how the
    child ended, in words."""

    said: bytes
    how: str
    took_ms: int


class Job:
    """One child. on_end is called once, later."""

    def __init__(
        self,
        reactor: Reactor,
        name: str,
        work: Callable[[int], int],
        on_end: Callable[[Outcome], None],
        *,
        keep: Iterable[int] = (),
        timeout_ms: int,
        max_bytes: int,
    ) -> None:
        """work gets the descriptor to answer on and returns the child's exit status. keep: other
        descriptors that the child needs. max_bytes: maximum size of the answer."""
        self._reactor = reactor
        self._on_end = on_end
        self._max_bytes = max_bytes
        self._said = bytearray()
        self._ended = True
        self._fd = -1
        try:
            self._child = self._begin(name, work, keep)
        except OSError as error:
            outcome = Outcome(b"", f"not started: {error.strerror}", 0)
            reactor.after(0, lambda: on_end(outcome))
            return
        self._ended = False
        reactor.watch(self._fd, self._receive)
        reactor.watch(self._child.pidfd, self._reap)
        reactor.after(timeout_ms, self.stop)

    def _begin(self, name: str, work: Callable[[int], int], keep: Iterable[int]) -> Child:
        child, self._fd = fork_to_answer(name, work, keep=keep)
        os.set_blocking(self._fd, False)
        return child

    @property
    def pid(self) -> int:
        """Returns the child's pid."""
        return self._child.pid

    def stop(self) -> None:
        """Kills the child; on_end is called later."""
        if not self._ended:
            self._child.kill()

    def abandon(self) -> None:
        """Kills and reaps the child; on_end is called before this returns."""
        if not self._ended:
            self._child.kill()
            self._reap()

    def _receive(self) -> None:
        self._read()

    def _read(self) -> bool:
        """Reads once. Returns False if there is nothing more to read now, or at all."""
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return False
        self._said += data
        if data and len(self._said) <= self._max_bytes:
            return True
        self._close()
        return False

    def _close(self) -> None:
        self._reactor.unwatch(self._fd)
        os.close(self._fd)
        self._fd = -1

    def _reap(self) -> None:
        while self._fd >= 0 and self._read():
            pass  # reads the rest of the answer
        if self._fd >= 0:  # a process that the child started still has the pipe open
            self._close()
        self._ended = True
        self._reactor.unwatch(self._child.pidfd)
        took_ms = monotonic_ms() - self._child.started_ms
        how = self._child.reap()
        self._on_end(Outcome(bytes(self._said), how, took_ms))
