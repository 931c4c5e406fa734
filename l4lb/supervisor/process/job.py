"""Work that is done once beside the service: a child does it, says on a pipe what came of it, and
ends. One that takes too long is killed; of one that says too much no more is read.
"""

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
    """What the child said, and how it ended: "exited" if all is well, else in words."""

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
        """work gets the descriptor to answer on and returns the child's status; keep: descriptors
        that it needs besides; max_bytes: of an answer."""
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
        """The child's."""
        return self._child.pid

    def stop(self) -> None:
        """Gives up; on_end is called later."""
        if not self._ended:
            self._child.kill()

    def abandon(self) -> None:
        """Gives up and takes the child away; on_end is called before this returns."""
        if not self._ended:
            self._child.kill()
            self._reap()

    def _receive(self) -> None:
        self._read()

    def _read(self) -> bool:
        """Reads once. False: there is no more to read now, or ever."""
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
            pass  # what it said before it ended
        if self._fd >= 0:  # something that it started has the other end still
            self._close()
        self._ended = True
        self._reactor.unwatch(self._child.pidfd)
        took_ms = monotonic_ms() - self._child.started_ms
        how = self._child.reap()
        self._on_end(Outcome(bytes(self._said), how, took_ms))
