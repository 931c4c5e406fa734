"""Giving the service to the program that is installed now, without losing a connection.

The new program first says, in a child, that it can go on from this one's state (a check that does
everything but serve). Then it takes the place of this process (execve): the pid stays, children
stay children, descriptors stay open. It starts its own workers on the same sockets, and the old
ones hand them their sessions. If it fails before that, it puts the old program back.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import l4lb.log
from l4lb.errors import AdminError
from l4lb.supervisor.process.child import flush
from l4lb.supervisor.process.job import Job, Outcome
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.upgrade import state_file

CHECK_TIMEOUT_MS = 30_000
READY = b"ready "
SAID_MAX = 16 << 10
BLOCKED = state_file.BLOCKED
LOG = l4lb.log.get("supervisor")


def command_line() -> list[str]:
    """How this program was started, so that what is installed there now is started again."""
    rest = sys.orig_argv[1:]
    script = os.path.abspath(rest[0]) if rest else ""
    if rest and os.path.isfile(script) and os.access(script, os.X_OK):
        return [script, *rest[1:]]
    return [sys.executable, *rest]


def resolved(command: list[str]) -> list[str]:
    """The same with the folder that a symbolic link names now: it stays this version's."""
    folder, name = os.path.split(command[0])
    return [os.path.join(os.path.realpath(folder), name), *command[1:]]


# Taken at start, while the links are as they were when this program was started.
STARTED_AS = resolved(command_line())


def check(
    reactor: Reactor,
    command: list[str],
    state_fd: int,
    keep: Collection[int],
    on_ready: Callable[[str], None],
    on_fault: Callable[[AdminError], None],
) -> None:
    """Asks the new program, in a child, whether it could go on from here. keep: descriptors that
    the state names and it looks at. on_ready gets its version, on_fault why not; one of them is
    called, later."""
    environment = {**os.environ, state_file.VARIABLE: f"check:{state_fd}"}

    def become(pipe: int) -> int:
        os.dup2(pipe, 1)
        os.dup2(pipe, 2)
        for fd in (state_fd, *keep):
            os.set_inheritable(fd, True)
        for number in BLOCKED:
            signal.signal(number, signal.SIG_DFL)
        try:
            os.execve(command[0], command, environment)
        except OSError as error:
            os.write(pipe, f"{command[0]}: {error.strerror}\n".encode())
            return 1

    def end(outcome: Outcome) -> None:
        last = outcome.said.strip().rpartition(b"\n")[2]
        if outcome.how == "exited" and last.startswith(READY):
            on_ready(last.removeprefix(READY).decode(errors="replace"))
            return
        why = last.decode(errors="replace") or "it said nothing"
        on_fault(
            AdminError("failed", f"the new program cannot go on from here: {outcome.how}: {why}")
        )

    Job(
        reactor, "check", become, end,
        keep=[state_fd, *keep], timeout_ms=CHECK_TIMEOUT_MS, max_bytes=SAID_MAX,
    )  # fmt: skip


def become(command: list[str], state: Mapping[str, Any], keep: Sequence[int], back: bool) -> None:
    """Takes the place of this process. Returns only if that failed: raises OSError."""
    state_fd = state_file.written({**state, "back": back})
    for fd in (*keep, state_fd):
        os.set_inheritable(fd, True)
    signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
    flush()
    environment = {**os.environ, **state["environment"], state_file.VARIABLE: f"run:{state_fd}"}
    try:
        os.execve(command[0], command, environment)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED)
        os.close(state_fd)
        for fd in keep:
            os.set_inheritable(fd, False)
