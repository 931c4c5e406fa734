"""Finds backends with a program of the user: each line that it prints is a JSON list of all
backends.

The program may go on and print a line at each change, or end and be run again each interval. If
lines come faster than they are used, only the newest counts. The program ends with the control
process. Its standard input ends then too, for processes that it has started itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncGenerator, Sequence
from typing import IO

from l4lb import child
from l4lb.config.tables.discovery import Discovery
from l4lb.discovery import entries
from l4lb.discovery.types import (
    ANSWER_BYTES_MAX,
    MS,
    REAL_CLOCK,
    Answer,
    Clock,
    DiscoveryError,
    Member,
)

ERROR_BYTES = 4_096  # of stderr, kept for the fault's text
PIPE_BYTES = 64 << 10  # read ahead of the answer that is being used
LAST_WORDS_S = 0.5  # for the rest in the pipes of a program that has ended


class Exec:
    """Follows one program."""

    def __init__(self, settings: Discovery, clock: Clock = REAL_CLOCK) -> None:
        self._clock = clock
        self._command = settings.command or ()
        self._interval_s = settings.interval_ms / MS
        self._timeout_s = settings.timeout_ms / MS

    async def follow(self, _: Sequence[Member]) -> AsyncGenerator[Answer | DiscoveryError, None]:
        while True:
            async with contextlib.aclosing(self._once()) as answers:
                async for answer in answers:
                    yield answer
            await self._clock.sleep(self._interval_s)

    async def _once(self) -> AsyncGenerator[Answer | DiscoveryError, None]:
        name = self._command[0]
        run = await _Run.begin(self._command)
        try:
            try:
                async with asyncio.timeout(self._timeout_s):
                    line = await run.newest()
            except TimeoutError as error:
                raise DiscoveryError(f"{name}: no answer in time") from error
            said = line
            while line:
                yield _parsed(line)
                line = await run.newest()
            status = await run.end(self._timeout_s)
            if status is None:
                raise DiscoveryError(f"{name} closed its output and did not end")
            if status:
                why = await run.last_words()
                raise DiscoveryError(f"{name} ended with {status}{': ' if why else ''}{why}")
            if not said:
                raise DiscoveryError(f"{name} ended and printed no list")
        finally:
            await run.close()


def _parsed(line: bytes) -> Answer | DiscoveryError:
    try:
        return entries.of_json(line)
    except DiscoveryError as error:
        return error


class _Run:
    """One run of the program."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._out, self._err = asyncio.StreamReader(PIPE_BYTES), asyncio.StreamReader(ERROR_BYTES)
        self._pipes: list[asyncio.ReadTransport] = []
        self._rest = bytearray()
        self._ended = asyncio.Event()
        self._pidfd = os.pidfd_open(process.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._ended.set)
        self._complaint = asyncio.create_task(_last_of(self._err))

    @classmethod
    async def begin(cls, command: Sequence[str]) -> _Run:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=child.environment(),
                cwd="/",
                start_new_session=True,
                preexec_fn=child.ends_with_us(),
            )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise DiscoveryError(f"{command[0]}: {why}") from error
        try:
            run = cls(process)
        except OSError as error:
            child.kill_session(process.pid)
            raise DiscoveryError(f"{command[0]}: {error.strerror}") from error
        try:
            for stream, pipe in ((run._out, process.stdout), (run._err, process.stderr)):
                assert pipe is not None
                await run._connect(stream, pipe)
        except BaseException:
            await run.close()
            raise
        return run

    async def _connect(self, stream: asyncio.StreamReader, pipe: IO[bytes]) -> None:
        loop = asyncio.get_running_loop()
        made = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), pipe)
        self._pipes.append(made[0])

    async def newest(self) -> bytes:
        """Waits for output and returns its last whole line; empty at the end."""
        while data := await self._more():
            whole, newline, rest = data.rpartition(b"\n")
            lines: list[bytearray] = []
            if newline:
                lines = [one for one in (self._rest + whole).split(b"\n") if one.strip()]
                self._rest.clear()
            self._rest += rest
            if len(self._rest) > ANSWER_BYTES_MAX:
                raise DiscoveryError(f"a line of more than {ANSWER_BYTES_MAX >> 20} MiB")
            if lines:
                return bytes(lines[-1])
        last, self._rest = bytes(self._rest), bytearray()
        return last

    async def _more(self) -> bytes:
        """Returns more output; empty at the end of the output, or when the program has ended:
        processes that it left behind may keep the output open."""
        read = asyncio.ensure_future(self._out.read(ANSWER_BYTES_MAX))
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait((read, ended), return_when=asyncio.FIRST_COMPLETED)
            if not read.done():
                await asyncio.wait((read,), timeout=LAST_WORDS_S)
            return read.result() if read.done() else b""
        finally:
            read.cancel()
            ended.cancel()

    async def end(self, timeout_s: float) -> int | None:
        """Returns its exit status; None if it goes on."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._ended.wait()
        if not self._ended.is_set():
            return None
        child.kill_session(self._process.pid)
        return self._process.wait()

    async def last_words(self) -> str:
        """Returns the last line that it wrote to stderr."""
        await asyncio.wait((self._complaint,), timeout=LAST_WORDS_S)
        said = self._complaint.result() if self._complaint.done() else b""
        lines = said.decode(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else ""

    async def close(self) -> None:
        """Kills it with its session. Nobody waits for a program that the kernel cannot end now (it
        waits for a disk)."""
        self._complaint.cancel()
        if self._process.returncode is None:
            child.kill_session(self._process.pid)
            await self.end(LAST_WORDS_S)
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        for transport in self._pipes:
            transport.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()


async def _last_of(stream: asyncio.StreamReader) -> bytes:
    """Returns the end of the output, which is read as it comes so that the program never waits."""
    kept = b""
    while data := await stream.read(ERROR_BYTES):
        kept = (kept + data)[-ERROR_BYTES:]
    return kept
