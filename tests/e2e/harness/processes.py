"""The balancer's processes: which there are, what tests sent them, and how they ended.

A process may end by a signal only if a test has sent it that signal through this module.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil

from .deadline import until

_sent: set[tuple[int, int]] = set()  # (pid, signal)
# In the service's log, as text or as JSON.
_PID = re.compile(r"""\bpid(?:=|": )(\d+)""")
_HOW = re.compile(r"""\bhow(?:='|=|": ")([^'"]*)""")


def processes_of(session: int) -> list[psutil.Process]:
    """The live processes of a session (setsid), zombies not counted."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def open_files(pid: int) -> list[str]:
    """What each descriptor of a process leads to; those that are closed meanwhile left out."""
    found = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(fd.readlink()))
    return found


def send_signal(pid: int, number: int) -> None:
    """Sends a process a signal, by which it may end."""
    may_end(pid, number)
    os.kill(pid, number)


def may_end(pid: int, number: int) -> None:
    """The process may end by that signal: a test sees to it."""
    _sent.update((name, number) for name in _numbers(pid))


def _numbers(pid: int) -> list[int]:
    """A process's numbers, in this PID namespace and in those below that it is in."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return [pid]
    return [int(number) for number in re.findall(r"^NSpid:(.*)$", status, re.MULTILINE)[0].split()]


def was_sent(pid: int, number: int) -> bool:
    """Has a test sent it that signal? One that a test stops may be killed by the service."""
    by_service = number == signal.SIGKILL and (pid, signal.SIGSTOP) in _sent
    return by_service or (pid, number) in _sent


def kill_and_wait(pid: int) -> None:
    """kill -9, and waits until the kernel has ended the process."""
    handle = os.pidfd_open(pid)
    try:
        send_signal(pid, signal.SIGKILL)
        until(lambda: has_ended(pid), f"process {pid} is dead")
    finally:
        os.close(handle)


def has_ended(pid: int) -> bool:
    """Has the process ended? Its parent may not have taken it away yet."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process does not run inside the block (SIGSTOP); what comes for it waits."""
    send_signal(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def faults(log: str) -> list[str]:
    """What a service's log tells of its own faults: tracebacks, broken assertions, processes that
    ended otherwise than by themselves or by a test."""
    return [line for line in log.splitlines() if _is_fault(line)]


def _is_fault(line: str) -> bool:
    if "Traceback" in line or ": broken: " in line:
        return True
    how, pid = _HOW.search(line), _PID.search(line)
    if how is None or how[1] == "exited":
        return False
    by = how[1].removeprefix("killed by ")
    return pid is None or not (
        by in signal.Signals.__members__ and was_sent(int(pid[1]), signal.Signals[by])
    )
