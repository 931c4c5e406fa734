"""A child process: forked with just the descriptors it needs, watched through its pidfd.

It knows nothing of what children do: that is the function they are given.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import l4lb.log
from l4lb.supervisor import privileges

CRASHED = 70  # EX_SOFTWARE (sysexits.h): the child's function raised


@dataclass(frozen=True)
class Child:
    """A running child. pidfd becomes readable when it has ended."""

    name: str
    pid: int
    pidfd: int
    started_ms: int

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        signal.pidfd_send_signal(self.pidfd, number)

    def reap(self) -> str:
        """Takes the ended child away; says in words how it ended."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self.pidfd)
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return "exited" if code == 0 else f"exited with status {code}"


def _close_all_but(keep: Iterable[int]) -> None:
    kept = {0, 1, 2, *keep}
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd not in kept:
            with contextlib.suppress(OSError):  # the listing's own descriptor
                os.close(fd)


def _be_child(main: Callable[[], int], name: str, keep: Iterable[int], raw: bool) -> int:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    _close_all_but(keep)
    try:
        privileges.renounce(but_raw=raw)
        return main()
    except BaseException as error:
        l4lb.log.get(name).error("crashed", error=repr(error), exc_info=True)
        return CRASHED


def fork(
    name: str, main: Callable[[], int], *, keep: Iterable[int], now_ms: int, raw: bool = False
) -> Child:
    """Forks a child that runs main with the descriptors in keep (and 0, 1, 2) and exits with what
    it returns. raw: it keeps CAP_NET_RAW, if this process has it. The caller has no threads. Raises
    OSError if there can be no more processes."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        status = CRASHED
        try:
            status = _be_child(main, name, keep, raw)
        finally:
            os._exit(status)
    return Child(name, pid, os.pidfd_open(pid), now_ms)


def channel() -> tuple[socket.socket, socket.socket]:
    """A pair of sockets that keep message boundaries: the supervisor's end and the child's."""
    ours, theirs = socket.socketpair(
        socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    )
    return ours, theirs
