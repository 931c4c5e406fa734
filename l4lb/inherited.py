"""Puts in order what a process inherits from its parent, before the process does anything else.

A parent may ignore or block signals (nohup, a job of a shell, a careless wrapper), close the
standard descriptors, leave others open, set limits and a file mode mask, and run in a folder that
was removed. All of that survives an exec. This module corrects it for every command. for_service
does what only a service needs.

Some things stay as they are: SIGPIPE and SIGXFSZ, which Python ignores; SIGINT and SIGHUP as
commands at a terminal inherit them; and environment variables, which the parent sets on purpose.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import stat
import sys
from collections.abc import Collection, Iterator

FIRST_FREE = 3  # the first descriptor after the standard ones
# Limits that a service raises to their hard limit.
RAISED = ("NOFILE", "FSIZE", "CPU", "AS", "DATA", "RSS", "NPROC", "MEMLOCK")
FATAL = {"FSIZE": "no file and no shared memory can be larger", "CPU": "it is killed then"}


def put_in_order(keep_blocked: Collection[int] = ()) -> None:
    """Puts signals, standard descriptors and the working folder in order; the first call of every
    l4lb process. keep_blocked: signals that an old program has blocked so that none is lost."""
    _open_standard()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # why: if ignored, children cannot be reaped
    signal.pthread_sigmask(signal.SIG_SETMASK, set(keep_blocked))
    try:
        os.getcwd()
    except OSError:
        os.chdir("/")


def for_service(environ: dict[str, str] | os._Environ[str]) -> list[str]:
    """Puts in order what `l4lb run` needs beside that. Returns in words what could not be put in
    order. environ: names the sockets that a service manager passed."""
    passed = environ.get("LISTEN_FDS", "") if environ.get("LISTEN_PID") == str(os.getpid()) else ""
    count = int(passed) if passed.isascii() and passed.isdigit() else 0
    close_strays(range(FIRST_FREE, FIRST_FREE + count))
    os.umask(os.umask(0o077) & 0o077 | 0o022)
    return list(_raise_limits())


def _open_standard() -> None:
    """Opens missing standard descriptors. Otherwise a socket or file would get number 0, 1 or 2,
    and any code could read or write it."""
    for fd in range(FIRST_FREE):
        with contextlib.suppress(OSError):
            os.fstat(fd)
            continue
        null = os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, usually fd
        if null != fd:
            os.dup2(null, fd)
            os.close(null)
        os.set_inheritable(fd, True)
    # Python has set its own stream to None for a descriptor that was closed.
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - for the process's life
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def close_strays(keep: Collection[int] = ()) -> None:
    """Closes sockets and pipes that came over the exec and that nobody has asked for: the process
    at the other end would wait for ever. Files stay open: one may be a lock that somebody holds
    (flock(1))."""
    for fd in map(int, os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else ():
        if fd < FIRST_FREE or fd in keep:
            continue
        with contextlib.suppress(OSError):  # the descriptor of the listing itself
            mode = os.fstat(fd).st_mode
            if os.get_inheritable(fd) and (stat.S_ISSOCK(mode) or stat.S_ISFIFO(mode)):
                os.close(fd)


def _raise_limits() -> Iterator[str]:
    # why: processes have TLS keys in memory, and a core dump would write them to a disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    for name in RAISED:
        number = getattr(resource, f"RLIMIT_{name}")
        soft, hard = resource.getrlimit(number)
        if soft != hard:
            resource.setrlimit(number, (hard, hard))
        if hard != resource.RLIM_INFINITY and name in FATAL:
            yield f"RLIMIT_{name} is {hard} and cannot be raised: {FATAL[name]}"
