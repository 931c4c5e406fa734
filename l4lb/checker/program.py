"""The exec check: a program of the operator's own says by its exit status how a backend is.

No shell. It runs in a session of its own and is killed with all of that session at the timeout; it
ends with the checker if that is killed.
The backend's facts are in its environment; what it prints first is the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Mapping

from l4lb import child
from l4lb.checker.types import Outcome, Settings, Target
from l4lb.native.results import Result

OUTPUT_BYTES_MAX = 4 << 10  # of what it prints that are kept


def environment(target: Target) -> dict[str, str]:
    """What the program knows of the backend; nothing of ours leaks but PATH and the locale."""
    return {
        **child.environment(),
        "L4LB_POOL": target.pool,
        "L4LB_BACKEND": target.name,
        "L4LB_ADDRESS": str(target.address),
        "L4LB_HOST": target.address.host,
        "L4LB_PORT": str(target.address.port),
        "L4LB_PATH": target.address.path,
    }


class Program:
    """A running program: its output is read as it comes, its end waited for by its pidfd."""

    def __init__(self, command: list[str], env: Mapping[str, str], data: bytes = b"") -> None:
        """Raises OSError if it cannot be started."""
        self._loop = asyncio.get_running_loop()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if data else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            cwd="/",
            start_new_session=True,
            preexec_fn=child.ends_with_us(),
        )
        if data:
            assert self._process.stdin is not None
            with contextlib.suppress(OSError):  # a pipe takes 64 KiB at once
                os.set_blocking(self._process.stdin.fileno(), False)
                os.write(self._process.stdin.fileno(), data)
            self._process.stdin.close()
        self.output = b""

    async def wait(self) -> int:
        """Its exit status, negative for a signal. Cancelled: it is killed, with its children."""
        assert self._process.stdout is not None
        out = self._process.stdout.fileno()
        os.set_blocking(out, False)
        pidfd = -1
        try:
            pidfd = os.pidfd_open(self._process.pid)
            ended: asyncio.Future[None] = self._loop.create_future()
            self._loop.add_reader(pidfd, _set, ended)
            self._loop.add_reader(out, self._read, out)
            await ended
            self._read(out)
        finally:
            self._loop.remove_reader(out)
            if pidfd >= 0:
                self._loop.remove_reader(pidfd)
                os.close(pidfd)
            child.kill_session(self._process.pid)
            status = self._process.wait()
            self._process.stdout.close()
        return status

    def _read(self, out: int) -> None:
        try:
            data = os.read(out, OUTPUT_BYTES_MAX)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(out)
        self.output = (self.output + data)[:OUTPUT_BYTES_MAX]

    @property
    def first_line(self) -> str:
        lines = self.output.decode(errors="replace").strip().splitlines()
        return "".join(c if c.isprintable() else "?" for c in lines[0]) if lines else ""


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def probe(target: Target, settings: Settings) -> Outcome:
    """Runs the command; exit status 0 is a pass."""
    try:
        program = Program(list(settings.command), environment(target))
    except OSError as error:
        text = f"cannot run {settings.command[0]}: {error.strerror}"
        return Outcome(Result.NO_SOCKET, error.errno or 0, text)
    status = await program.wait()
    how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
    text = f"{how}: {program.first_line}" if program.first_line else how
    return Outcome(Result.ANSWER if status else Result.OK, 0, text, abs(status))
