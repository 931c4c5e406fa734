"""The exec check: the exit status of a program of the operator decides.

There is no shell. The program runs in a session of its own. At the timeout it is killed with all
processes of that session. It ends with the checker if the checker is killed. Its environment
describes the backend; the first line that it prints is the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Mapping

from l4lb import child
from l4lb.checker.limits import (
    GONE_S,
    OUTPUT_BYTES_MAX,
    OUTPUT_KEPT_BYTES,
    OUTPUT_PAUSE_S,
    OUTPUT_READ_BYTES,
)
from l4lb.checker.shown import plain
from l4lb.checker.types import Attempt, LateError, Outcome, ProbeError, Settings, Target
from l4lb.native.results import Result


def environment(target: Target) -> dict[str, str]:
    """Returns the program's environment: facts about the backend, and of the service's environment
    only PATH and the locale."""
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
    """A running program: its output is read as it comes, and its pidfd shows its end."""

    def __init__(self, command: list[str], env: Mapping[str, str], data: bytes = b"") -> None:
        """Starts the program. Raises OSError if it cannot be started."""
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
        self._printed = 0
        self._out = -1 if self._process.stdout is None else self._process.stdout.fileno()
        os.set_blocking(self._out, False)
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._reaped: asyncio.Future[None] = self._loop.create_future()
        try:
            self._pidfd = os.pidfd_open(self._process.pid)
        except OSError:
            self._process.kill()
            self._process.wait()
            raise

    async def wait(self) -> int:
        """Returns its exit status, negative for a signal. If the wait is cancelled, the program is
        killed with its children. Raises ProbeError, and kills it, if it prints too much."""
        try:
            self._loop.add_reader(self._pidfd, _set, self._ended)
            self._listen()
            await self._ended
            self._read()
        finally:
            self._loop.remove_reader(self._out)
            child.kill_session(self._process.pid)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._out = -1
            self._loop.add_reader(self._pidfd, self._reap)
            self._reap()
        return self._process.returncode

    def _reap(self) -> None:
        """Reaps the program when it has ended. A program of another user, or one that waits in the
        kernel, may survive the kill; nobody waits for it."""
        if self._process.poll() is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            _set(self._reaped)

    async def gone(self) -> None:
        """Waits for a limited time until the program has been reaped."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GONE_S):
                await self._reaped

    def _listen(self) -> None:
        if self._out >= 0:
            self._loop.add_reader(self._out, self._read)

    def _read(self) -> None:
        """Takes the output, and looks again a little later: the program may print without end."""
        self._loop.remove_reader(self._out)
        try:
            data = os.read(self._out, OUTPUT_READ_BYTES)
        except BlockingIOError:
            data = b""
        else:
            if not data:
                return
        self._printed += len(data)
        self.output = (self.output + data)[:OUTPUT_KEPT_BYTES]
        if self._printed <= OUTPUT_BYTES_MAX:
            self._loop.call_later(OUTPUT_PAUSE_S, self._listen)
        elif not self._ended.done():
            text = f"printed more than {OUTPUT_BYTES_MAX} bytes: {self.first_line}"
            self._ended.set_exception(ProbeError(Result.ANSWER, text))

    @property
    def first_line(self) -> str:
        lines = self.output.decode(errors="replace").strip().splitlines()
        return plain(lines[0]) if lines else ""


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def probe(target: Target, settings: Settings, attempt: Attempt) -> Outcome:
    """Runs the command; exit status 0 is a pass."""
    try:
        program = Program(list(settings.command), environment(target))
    except OSError as error:
        text = f"cannot run {settings.command[0]}: {error.strerror}"
        return Outcome(Result.NO_SOCKET, error.errno or 0, text)
    attempt.ends.push_async_callback(program.gone)
    try:
        async with asyncio.timeout_at(attempt.until_s):
            status = await program.wait()
    except TimeoutError as error:
        said = f": {program.first_line}" if program.first_line else ""
        text = f"not ended in {settings.timeout_ms} ms{said}"
        raise LateError(Result.TIMEOUT, text) from error
    how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
    text = f"{how}: {program.first_line}" if program.first_line else how
    return Outcome(Result.ANSWER if status else Result.OK, 0, text, abs(status))
