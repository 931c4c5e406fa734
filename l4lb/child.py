"""Programs of the operator that run as children: checks, alerts, and sources of backends.

Each program gets a clean environment and a session of its own. The kernel kills it when the process
that started it ends. Its whole session is killed when nobody waits for it any more.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import signal
from collections.abc import Callable

INHERITED = ("PATH", "LANG", "LC_ALL", "TZ")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_prctl = ctypes.CDLL(None).prctl  # looked up early: not safe between fork and exec


def environment() -> dict[str, str]:
    """Returns the environment of such a program: PATH and the locale, and nothing else."""
    return {"PATH": PATH} | {key: os.environ[key] for key in INHERITED if key in os.environ}


def ends_with_us() -> Callable[[], None]:
    """Returns a preexec_fn that makes the kernel kill the child when the calling thread ends."""
    return functools.partial(_die_with, os.getpid())


def _die_with(parent: int) -> None:
    """Runs in the child, before the program starts."""
    if _prctl(PR_SET_PDEATHSIG, signal.SIGKILL) or os.getppid() != parent:
        os._exit(127)


def kill_session(pid: int) -> None:
    """Kills a program and every process in its session. Call it before the program is reaped: until
    then no other process can get its id."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
