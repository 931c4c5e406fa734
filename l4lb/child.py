"""Programs of the operator's that are run as children: checks, alerts and sources of backends.

Each gets a clean environment and a session of its own. The kernel ends it when the process that
started it ends; it is killed with all of its session when nobody waits for it any more.
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
_prctl = ctypes.CDLL(None).prctl  # looked up here: between fork and exec is no time for it


def environment() -> dict[str, str]:
    """What a program knows of ours: PATH and the locale, and nothing else."""
    return {"PATH": PATH} | {key: os.environ[key] for key in INHERITED if key in os.environ}


def ends_with_us() -> Callable[[], None]:
    """A preexec_fn: the kernel kills the child when this thread of ours ends."""
    return functools.partial(_die_with, os.getpid())


def _die_with(parent: int) -> None:
    """In the child, before it becomes the program."""
    if _prctl(PR_SET_PDEATHSIG, signal.SIGKILL) or os.getppid() != parent:
        os._exit(127)


def kill_session(pid: int) -> None:
    """Ends a program and what it left behind. Call it before the program is waited for: until then
    nobody else has its id."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
