"""Backends from a program of the user's: each line that it prints is all of them, as JSON.

It may go on and print a line at each change, or end and be run again each interval. It runs in a
session of its own and is killed, with what it started, when it is no longer followed; its standard
input ends when the control process does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator

from l4lb.config.tables.discovery import Discovery
from l4lb.discovery import entries
from l4lb.discovery.types import ANSWER_BYTES_MAX, MS, DiscoveryError, Member

ERROR_BYTES = 4_096  # of what it says on stderr, kept for the fault


class Exec:
    """Follows one program."""

    def __init__(self, settings: Discovery) -> None:
        self._command = settings.command or ()
        self._interval_s = settings.interval_ms / MS

    async def follow(self) -> AsyncGenerator[list[Member], None]:
        while True:
            async for members in self._once():
                yield members
            await asyncio.sleep(self._interval_s)

    async def _once(self) -> AsyncGenerator[list[Member], None]:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=ANSWER_BYTES_MAX,
                start_new_session=True,
                cwd="/",
            )
        except OSError as error:
            raise DiscoveryError(f"{self._command[0]}: {error.strerror}") from error
        assert process.stdout is not None
        assert process.stderr is not None
        complaint = asyncio.ensure_future(_last_of(process.stderr))
        try:
            while line := await _line(process.stdout):
                if line.strip():
                    yield entries.of_json(line)
            status = await process.wait()
            if status:
                said = (await complaint).decode(errors="replace").strip().splitlines()
                why = f": {said[-1][:200]}" if said else ""
                raise DiscoveryError(f"{self._command[0]} ended with {status}{why}")
        finally:
            complaint.cancel()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.shield(process.wait())


async def _line(stream: asyncio.StreamReader) -> bytes:
    """The next line; empty at the end. Raises DiscoveryError."""
    try:
        return await stream.readline()
    except ValueError as error:
        raise DiscoveryError(f"a line of more than {ANSWER_BYTES_MAX >> 20} MiB") from error


async def _last_of(stream: asyncio.StreamReader) -> bytes:
    """The end of what is said, read as long as it comes so that nobody waits."""
    kept = b""
    while data := await stream.read(ERROR_BYTES):
        kept = (kept + data)[-ERROR_BYTES:]
    return kept
