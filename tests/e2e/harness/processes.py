"""The balancer's processes: which there are, which signals tests sent them, and how they ended.

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

STILL = (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
_sent: set[tuple[int, int]] = set()  # (pid, signal)
# Patterns in the service's log, which is text or JSON.
_PID = re.compile(r"""\bpid(?:=|": )(\d+)""")
_HOW = re.compile(r"""\bhow(?:='|=|": ")([^'"]*)""")


def processes_of(session: int) -> list[psutil.Process]:
    """Returns the live processes of a session (setsid), without zombies."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def open_files(pid: int) -> list[str]:
    """Returns what each descriptor of a process leads to, without those that are closed
    meanwhile."""
    found = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(fd.readlink()))
    return found


def send_signal(pid: int, number: int) -> None:
    """Sends a process a signal, by which it may then end."""
    may_end(pid, number)
    os.kill(pid, number)


def may_end(pid: int, number: int) -> None:
    """Notes that the process may end by that signal, because a test causes it."""
    _sent.update((name, number) for name in _numbers(pid))


def _numbers(pid: int) -> list[int]:
    """Returns a process's ids in this PID namespace and in the namespaces below it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return [pid]
    return [int(number) for number in re.findall(r"^NSpid:(.*)$", status, re.MULTILINE)[0].split()]


def was_sent(pid: int, number: int) -> bool:
    """Returns whether a test has sent that signal. A process that a test stops may be killed by the
    service."""
    by_service = number == signal.SIGKILL and (pid, signal.SIGSTOP) in _sent
    return by_service or (pid, number) in _sent


def kill_and_wait(pid: int) -> None:
    """Kills a process (kill -9), and waits until the kernel has ended it."""
    handle = os.pidfd_open(pid)
    try:
        send_signal(pid, signal.SIGKILL)
        until(lambda: has_ended(pid), f"process {pid} is dead")
    finally:
        os.close(handle)


def stop_and_wait(pid: int) -> None:
    """Stops a process (SIGSTOP), and waits until it does nothing any more, or has ended."""
    send_signal(pid, signal.SIGSTOP)
    until(lambda: _status(pid) in STILL, f"process {pid} is stopped")


def _status(pid: int) -> str:
    try:
        return str(psutil.Process(pid).status())
    except psutil.NoSuchProcess:
        return str(psutil.STATUS_DEAD)


def has_ended(pid: int) -> bool:
    """Returns whether the process has ended. Its parent may not have reaped it yet."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stops the process inside the block (SIGSTOP)."""
    send_signal(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def faults(log: str) -> list[str]:
    """Returns the faults that a service's log reports: tracebacks, broken assertions, and processes
    that ended neither by themselves nor by a test."""
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
