"""Filters of system calls (seccomp) for workers and the processes beside them. An attacker who
takes one of them over cannot start a program, look into another process, mount, or write a file. A
worker whose caches have folders can write files only there, and the keeper can only remove files
there (landlock.py).

A child enters its filter after it has given up its rights, and cannot leave it. A call that its
list (system_calls.py) does not allow ends the child by SIGSYS. The parent reports which call it
was, and starts another child as after any death.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import mmap
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import l4lb.log
from l4lb.config.model import Config
from l4lb.config.origin import Finding
from l4lb.config.tables.process import Process
from l4lb.errors import ConfigError
from l4lb.native import trap
from l4lb.supervisor.process import landlock
from l4lb.supervisor.process import system_calls as calls
from l4lb.supervisor.process.system_calls import Calls, Only

PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2  # linux/prctl.h, linux/seccomp.h
UNKNOWN = -1  # __NR_SCMP_ERROR: an older libseccomp has no such name
FASTEST = 2  # libseccomp's optimisation: a binary tree
REMEDY = 'if this was no attack, please report it; [process] seccomp = "off" goes without'
LOG = l4lb.log.get("supervisor")
_LIBC = ctypes.CDLL(None, use_errno=True)


@functools.cache
def unavailable() -> str:
    """Returns why there can be no filters here, and a remedy; "" if there can be."""
    if trap.SANITIZED:
        return "this build has sanitizers, which make system calls of their own"
    try:
        import pyseccomp  # noqa: F401 - only to see if it is there
    except ImportError:
        return "pyseccomp is not installed (pip install 'l4lb[seccomp]')"
    except (RuntimeError, OSError, AttributeError):
        return "there is no libseccomp 2 (Debian: apt install libseccomp2)"
    try:
        _filter(calls.WORKER)
    except OSError:
        return "libseccomp is too old: 2.5 is needed"
    # why: loads a filter at address 0. A kernel that has filters refuses it with EFAULT.
    _LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, None, 0, 0)
    if ctypes.get_errno() != errno.EFAULT:
        return "this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER)"
    return ""


def why_off(process: Process) -> str:
    """Returns why this configuration has no filters here; "" if it has."""
    return '[process] seccomp = "off"' if process.seccomp == "off" else unavailable()


def check(config: Config) -> None:
    """Raises ConfigError if the configuration demands filters that cannot be had here."""
    if config.process.seccomp == "on" and unavailable():
        finding = Finding(("process", "seccomp"), f"cannot be on: {unavailable()}")
        raise ConfigError([config.origin.problem(finding)])


def runs_programs(config: Config) -> bool:
    """Returns whether the checker runs programs: exec checks or alerts."""
    return any(
        pool.alert or (pool.health is not None and pool.health.type == "exec")
        for pool in config.pools.values()
    )


class Guard:
    """The filter of one child, and a shared word in which the child leaves the number of a refused
    call. folders: open folders in which it may change files; rights: how (landlock.py)."""

    def __init__(
        self,
        what: Calls,
        tell: Callable[[str, Mapping[str, Any]], None],
        folders: Sequence[int] = (),
        rights: int = landlock.STORED,
    ) -> None:
        self._calls = what
        self._tell = tell
        self._folders = folders
        self._rights = rights
        self._page = mmap.mmap(-1, mmap.PAGESIZE)

    def enter(self) -> None:
        """Enters the filter for good. Runs in the child. Sets no_new_privs. Raises OSError."""
        trap.install(self._page)
        if self._folders:
            landlock.confine(self._folders, self._rights)
        _filter(self._calls).load()

    def report(self, name: str, pid: int, code: int) -> None:
        """Reports a call that was refused. Runs in the parent, when the child has ended with this
        code."""
        number = trap.told(self._page)
        self._page.close()
        if code != -signal.SIGSYS:
            return
        call = "unknown" if number is None else _name(number)
        LOG.error(
            "a process made a system call that its filter refuses, and was ended",
            child=name, pid=pid, call=call, remedy=REMEDY,
        )  # fmt: skip
        text = f"{name} made the system call {call}, which its filter refuses: {REMEDY}"
        self._tell("call_refused", {"process": name, "pid": pid, "call": call, "text": text})


class Guards:
    """Makes the filters for one service's children. Whether there are filters is decided once, at
    start."""

    def __init__(self, process: Process, tell: Callable[[str, Mapping[str, Any]], None]) -> None:
        self._why_off = why_off(process)
        self._tell = tell

    def __str__(self) -> str:
        return f"off: {self._why_off}" if self._why_off else "on"

    @property
    def on(self) -> bool:
        return not self._why_off

    def worker(self, folders: Sequence[int], maps: bool = False) -> Guard | None:
        """folders: those of caches, as workers have them open. maps: it has a map of the kernel."""
        what = calls.WORKER_OF_FILES if folders else calls.WORKER
        return self._of(calls.of_maps(what) if maps else what, folders)

    def keeper(self, folders: Sequence[int]) -> Guard | None:
        """folders: those of caches, as the keeper has them open."""
        return self._of(calls.KEEPER, folders, landlock.KEPT)

    def recorder(self, folders: Sequence[int]) -> Guard | None:
        """folders: those of records, as the recorder has them open."""
        return self._of(calls.RECORDER, folders, landlock.RECORDED)

    def packet(self) -> Guard | None:
        return self._of(calls.PACKET)

    def policy(self) -> Guard | None:
        return self._of(calls.POLICY)

    def checker(self, config: Config) -> Guard | None:
        return self._of(calls.CHECKER_OF_PROGRAMS if runs_programs(config) else calls.CHECKER)

    def _of(
        self, what: Calls, folders: Sequence[int] = (), rights: int = landlock.STORED
    ) -> Guard | None:
        return None if self._why_off else Guard(what, self._tell, folders, rights)


def _filter(what: Calls) -> Any:
    """Returns libseccomp's filter for this process."""
    import pyseccomp

    def act(error: int | None) -> int:
        if error is None:
            return int(pyseccomp.TRAP)
        return int(pyseccomp.ERRNO(error)) if error else int(pyseccomp.ALLOW)

    made = pyseccomp.SyscallFilter(act(what.error))
    made.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
    made.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, FASTEST)
    # why: kernels before 5.16 slow down every filtered process to protect it from untrusted code
    # inside it (speculative store bypass); there is no such code here.
    made.set_attr(pyseccomp.Attr.CTL_SSB, 1)
    for rule in what.rules:
        number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, rule.call)
        if number != UNKNOWN:
            where = [_arg(one) for one in rule.only]
            made.add_rule(act(rule.error), number, *where)
    for number in range(calls.NEWEST + 1, calls.NEWEST + 1 + calls.LATER):
        made.add_rule(act(errno.ENOSYS), number)
    return made


def _arg(only: Only) -> Any:
    import pyseccomp

    value = os.getpid() if only.value == calls.OWN_PID else only.value
    return pyseccomp.Arg(only.argument, pyseccomp.MASKED_EQ, only.mask, value)


def _name(number: int) -> str:
    import pyseccomp

    try:
        return str(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, number).decode())
    except ValueError:
        return f"number {number}"
