"""A child process: forked with only the descriptors that it needs, and watched through its pidfd.

A child runs a function that it is given; this module does not know what the function does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import setproctitle

import l4lb.log
from l4lb.clock import monotonic_ms
from l4lb.supervisor.process import privileges
from l4lb.supervisor.process.seccomp import Guard

CRASHED = 70  # EX_SOFTWARE (sysexits.h): the child's function raised
# Which of this process's capabilities a child keeps, if there are any. raw: CAP_NET_RAW only.
Rights = Literal["none", "raw", "all"]


@dataclass(frozen=True)
class Child:
    """A running child. pidfd becomes readable when the child has ended. guard: the child's filter
    of system calls."""

    name: str
    pid: int
    pidfd: int
    started_ms: int
    guard: Guard | None = None

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        signal.pidfd_send_signal(self.pidfd, number)

    def reap(self) -> str:
        """Reaps the ended child. Returns in words how it ended."""
        os.close(self.pidfd)
        try:
            _, status = os.waitpid(self.pid, 0)
        except ChildProcessError:  # the child was reaped elsewhere
            return "ended, nobody knows how"
        code = os.waitstatus_to_exitcode(status)
        if self.guard is not None:
            self.guard.report(self.name, self.pid, code)
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return "exited" if code == 0 else f"exited with status {code}"


class Strangers:
    """Orphans: children that this process inherited as process 1, because their parents have
    died."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def reap(self) -> None:
        """Reaps the orphans that had ended at the last look too. Our own children are reaped
        sooner, through their pidfds."""
        import psutil  # why: only process 1 needs it

        ended = {
            one.pid
            for one in psutil.Process().children()
            if psutil.pid_exists(one.pid) and one.status() == psutil.STATUS_ZOMBIE
        }
        for pid in ended & self._seen:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        self._seen = ended


def _close_all_but(keep: Iterable[int]) -> None:
    kept = {0, 1, 2, *keep}
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd not in kept:
            with contextlib.suppress(OSError):  # the listing's own descriptor
                os.close(fd)


def _nothing(_number: int, _frame: object) -> None:
    """Handles a signal by doing nothing. SIG_IGN would be inherited by programs that the child
    runs."""


def _be_child(
    main: Callable[[], int], name: str, keep: Iterable[int], rights: Rights, guard: Guard | None
) -> int:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, _nothing)
    _close_all_but(keep)
    try:
        if rights != "all":
            privileges.renounce(but_raw=rights == "raw")
        if guard is not None:
            guard.enter()
        return main()
    except BaseException as error:
        l4lb.log.get(name).error("crashed", error=repr(error), exc_info=True)
        return CRASHED


def flush() -> None:
    """Flushes standard output and error before a fork or an exec. A closed pipe or a full disk is
    ignored."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()


def fork(
    name: str,
    main: Callable[[], int],
    *,
    keep: Iterable[int],
    now_ms: int,
    rights: Rights = "none",
    guard: Guard | None = None,
) -> Child:
    """Forks a child that runs main and exits with the status that main returns. keep: descriptors
    that the child keeps beside 0, 1 and 2. guard: the filter that it enters first. The caller must
    have no threads. Raises OSError if the host allows no more processes."""
    flush()
    pid = os.fork()
    if pid == 0:
        status = CRASHED
        try:
            status = _be_child(main, name, keep, rights, guard)
        finally:
            os._exit(status)
    return Child(name, pid, os.pidfd_open(pid), now_ms, guard)


def fork_to_answer(
    name: str, work: Callable[[int], int], *, keep: Iterable[int], rights: Rights = "none"
) -> tuple[Child, int]:
    """Forks a child with the title `l4lb: NAME` that writes an answer to a pipe. work gets the
    pipe's descriptor and returns the child's exit status. Returns the child and the caller's end of
    the pipe. Raises OSError."""
    ours, theirs = os.pipe()

    def run() -> int:
        setproctitle.setproctitle(f"l4lb: {name}")
        return work(theirs)

    try:
        child = fork(name, run, keep=[theirs, *keep], now_ms=monotonic_ms(), rights=rights)
    except OSError:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return child, ours


def channel() -> tuple[socket.socket, socket.socket]:
    """Returns a pair of sockets that keep message boundaries: the supervisor's end and the
    child's."""
    ours, theirs = socket.socketpair(
        socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    )
    return ours, theirs
