"""Reads files that a source's settings name, with a limit and without waiting: a pipe or a device
in place of the file delays nobody."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import threading
from collections.abc import Callable
from typing import TypeVar, cast

from l4lb.discovery.types import DiscoveryError

READ_BYTES = 256 << 10
T = TypeVar("T")


def read(path: str, maximum: int) -> bytes:
    """Returns a regular file's content, at most `maximum` bytes of it. Raises DiscoveryError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise DiscoveryError(f"{path}: it is no regular file")
            found = b""
            while data := os.read(fd, min(READ_BYTES, maximum - len(found))):
                found += data
            return found
        finally:
            os.close(fd)
    except OSError as error:
        raise DiscoveryError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise DiscoveryError(f"{path}: {error}") from error


class Aside:
    """Runs work that may wait for a disk in a thread of its own, one at a time. A disk that never
    answers costs one thread. It delays neither the event loop nor the end of the process."""

    def __init__(self) -> None:
        self._busy = False

    async def run(self, work: Callable[[], T], timeout_s: float) -> T:
        """Returns or raises what work does. Raises DiscoveryError if work takes too long."""
        if self._busy:
            raise DiscoveryError("the disk has not answered yet")
        self._busy = True
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def end(result: T | None, error: BaseException | None) -> None:
            if done.done():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(cast("T", result))

        def carry_out() -> None:
            result, error = None, None
            try:
                result = work()
            except Exception as raised:
                error = raised
            self._busy = False
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(end, result, error)

        threading.Thread(target=carry_out, daemon=True).start()
        try:
            async with asyncio.timeout(timeout_s):
                return await done
        except TimeoutError as error:
            raise DiscoveryError("the disk does not answer in time") from error
