"""What a process has from its parent, put in order before it does anything else.

A parent may ignore or block signals (nohup, a job of a shell, a careless wrapper), close standard
descriptors, leave others open, set limits and a mask of file modes, and stand in a folder that is
gone. All of that outlives an exec. It ends here, in one place, for every command; what only a
service needs is in for_service.

Left as it is: SIGPIPE and SIGXFSZ, which Python ignores; what commands at a terminal inherit of
SIGINT and SIGHUP; environment variables, which are the parent's word.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import stat
import sys
from collections.abc import Collection, Iterator

FIRST_FREE = 3  # behind the standard descriptors
# Where the hard limit allows more, a service takes it.
RAISED = ("NOFILE", "FSIZE", "CPU", "AS", "DATA", "RSS", "NPROC", "MEMLOCK")
FATAL = {"FSIZE": "no file and no memory that is shared can be larger", "CPU": "it is killed then"}


def put_in_order(keep_blocked: Collection[int] = ()) -> None:
    """For every process of l4lb, first of all. keep_blocked: signals that the program before this
    one has blocked so that none is lost."""
    _open_standard()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, children could not be waited for
    signal.pthread_sigmask(signal.SIG_SETMASK, set(keep_blocked))
    try:
        os.getcwd()
    except OSError:
        os.chdir("/")


def for_service(environ: dict[str, str] | os._Environ[str]) -> list[str]:
    """For `l4lb run`. Returns what could not be put in order, in words. environ tells of sockets
    that a service manager passed."""
    passed = environ.get("LISTEN_FDS", "") if environ.get("LISTEN_PID") == str(os.getpid()) else ""
    count = int(passed) if passed.isascii() and passed.isdigit() else 0
    close_strays(range(FIRST_FREE, FIRST_FREE + count))
    os.umask(os.umask(0o077) & 0o077 | 0o022)
    return list(_raise_limits())


def _open_standard() -> None:
    """A socket or file that got number 0, 1 or 2 would be read from, or written to by everybody."""
    for fd in range(FIRST_FREE):
        with contextlib.suppress(OSError):
            os.fstat(fd)
            continue
        null = os.open(os.devnull, os.O_RDWR)  # the lowest that is free: fd itself
        if null != fd:
            os.dup2(null, fd)
            os.close(null)
        os.set_inheritable(fd, True)
    # Python has none of its own for what was closed.
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - for the process's life
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def close_strays(keep: Collection[int] = ()) -> None:
    """Closes sockets and pipes that came over the exec and nobody has asked for: whoever has the
    other end would wait for ever. A file stays: it may be a lock that somebody holds (flock(1))."""
    for fd in map(int, os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else ():
        if fd < FIRST_FREE or fd in keep:
            continue
        with contextlib.suppress(OSError):  # the listing's own
            mode = os.fstat(fd).st_mode
            if os.get_inheritable(fd) and (stat.S_ISSOCK(mode) or stat.S_ISFIFO(mode)):
                os.close(fd)


def _raise_limits() -> Iterator[str]:
    # why: keys of TLS are in the memory of processes, and must not come to lie on a disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    for name in RAISED:
        number = getattr(resource, f"RLIMIT_{name}")
        soft, hard = resource.getrlimit(number)
        if soft != hard:
            resource.setrlimit(number, (hard, hard))
        if hard != resource.RLIM_INFINITY and name in FATAL:
            yield f"RLIMIT_{name} is {hard} and cannot be raised: {FATAL[name]}"
