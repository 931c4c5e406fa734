"""Starts of the installed program that cost a tenth: from a process that has loaded its modules.

Each process of pytest has one such process (preloaded.py) beside it. A build with sanitizers, a
command other than the installed script, another network namespace, and an environment that acts
when a program is loaded are started without it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from .program import program

SCRIPT = Path(__file__).with_name("preloaded.py")
_NAMESPACE = "/proc/thread-self/ns/net"
AT_LOAD = ("LD_", "PYTHON", "MALLOC_", "GLIBC_")  # of the names of variables


def _at_load(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith(AT_LOAD)}


class Started:
    """A process of the installed program, with the methods of subprocess.Popen."""

    def __init__(self, pid: int, report: socket.socket) -> None:
        """report: says the process's wait status when it has ended."""
        self.pid = pid
        self.returncode: int | None = None
        self._report = report

    def poll(self) -> int | None:
        """Returns its exit status (-N: signal N) if it has ended."""
        return self._status(0)

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end. Returns its exit status. Raises subprocess.TimeoutExpired."""
        status = self._status(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return status

    def kill(self) -> None:
        """Kills it (kill -9), if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, 9)

    def _status(self, timeout: float | None) -> int | None:
        if self.returncode is not None:
            return self.returncode
        self._report.settimeout(timeout)
        try:
            told = self._report.recv(64)
        except (TimeoutError, BlockingIOError):
            return None
        assert told, "the process that forks has ended"
        self._report.close()
        self.returncode = os.waitstatus_to_exitcode(int(told))
        return self.returncode


class Preloaded:
    """The process that has the program's modules loaded. It starts at the first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._namespace = ""
        self._environ: dict[str, str] = {}

    def can_start(self, command: Sequence[str], environ: Mapping[str, str]) -> bool:
        """Returns whether a start gives what the installed script would give."""
        if os.environ.get("L4LB_BIN") or list(command) != program():
            return False
        self._connect()
        here = os.readlink(_NAMESPACE) == self._namespace
        return here and _at_load(environ) == self._environ

    def start(
        self, args: Sequence[str], out: IO[bytes], error: IO[bytes], cwd: Path, **told: object
    ) -> Started:
        """Starts `l4lb ARGS` in a session of its own. told: its `environ`, and `files`, its limit
        of open files or None."""
        request = json.dumps({"args": list(args), "cwd": str(cwd), **told})
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, Path(os.devnull).open("rb") as nothing:
            fds = [nothing.fileno(), out.fileno(), error.fileno(), theirs.fileno()]
            socket.send_fds(self._connect(), [request.encode()], fds)
        pid = ours.recv(64)
        assert pid, "the process that forks has ended"
        return Started(int(pid), ours)

    def _connect(self) -> socket.socket:
        with self._lock:
            if self._control is None:
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                self._namespace = os.readlink(_NAMESPACE)
                self._environ = _at_load(os.environ)
                with theirs:
                    subprocess.Popen(
                        [sys.executable, str(SCRIPT), str(theirs.fileno()), *program()],
                        stdin=subprocess.DEVNULL,
                        pass_fds=[theirs.fileno()],
                        start_new_session=True,
                    )
                self._control = ours
            return self._control


PRELOADED = Preloaded()
