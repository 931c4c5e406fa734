"""Replaces the running program by the one that is installed now, without losing a connection.

First a child starts the new program, to check that it can go on from this program's state. The
check does everything but serve. Then the new program replaces this one in its process (execve): the
pid stays, children stay children, descriptors stay open. It starts workers of its own on the
sockets that are open, and the old workers hand them their sessions. If it fails before that, it
starts the old program again.
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
    """Returns the command that started this program, so that the program installed there now is
    started."""
    rest = sys.orig_argv[1:]
    script = os.path.abspath(rest[0]) if rest else ""
    if rest and os.path.isfile(script) and os.access(script, os.X_OK):
        return [script, *rest[1:]]
    return [sys.executable, *rest]


def resolved(command: list[str]) -> list[str]:
    """Returns the command with symbolic links in its folder resolved: the path names this version
    for good."""
    folder, name = os.path.split(command[0])
    return [os.path.join(os.path.realpath(folder), name), *command[1:]]


# Resolved at start, while the links still lead to this program.
STARTED_AS = resolved(command_line())


def check(
    reactor: Reactor,
    command: list[str],
    state_fd: int,
    keep: Collection[int],
    on_ready: Callable[[str], None],
    on_fault: Callable[[AdminError], None],
) -> None:
    """Starts the new program in a child, to check that it can go on from this state. keep:
    descriptors that the state names and the check needs. Later either on_ready gets its version, or
    on_fault the reason."""
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
    """Replaces this process by the command. Returns only if that fails: raises OSError."""
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
