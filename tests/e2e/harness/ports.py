"""Ports for tests: below the kernel's ephemeral range, each claimed by one test run.

A test that binds port 0 and uses the number later is in a race: another process may get the port
meanwhile. Two balancers with SO_REUSEPORT would even share the port in silence. Here a claim is a
locked file that every test run on this machine respects. A port that something else has bound is
skipped.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

FIRST, LAST = 10240, 32000


def _folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"l4lb-test-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def is_free(port: int) -> bool:
    """Returns whether this port can be bound now, on both families."""
    for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


class Ports:
    """The ports that this process has claimed. `release` or the end of the process gives them
    back."""

    def __init__(self) -> None:
        self._claims: dict[int, IO[bytes]] = {}
        self._next = FIRST + os.getpid() * 251 % (LAST - FIRST)

    def claim(self, port: int) -> bool:
        """Claims this port. Returns False if another test or program has it."""
        if port in self._claims:
            return False
        claim = (_folder() / str(port)).open("wb")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            claim.close()
            return False
        if not is_free(port):
            claim.close()
            return False
        self._claims[port] = claim
        return True

    def take(self, count: int = 1) -> int:
        """Claims `count` ports in a row. Returns the first."""
        for _ in range(LAST - FIRST):
            first, self._next = self._next, self._next + count
            if self._next > LAST:
                self._next = FIRST
            got = [port for port in range(first, first + count) if self.claim(port)]
            if len(got) == count:
                return first
            for port in got:
                self.release(port)
        raise RuntimeError("no free port left")

    def release(self, port: int) -> None:
        """Gives one port back."""
        self._claims.pop(port).close()

    @contextlib.contextmanager
    def taken(self) -> Iterator[int]:
        """Yields a port that is claimed until the block ends."""
        port = self.take()
        try:
            yield port
        finally:
            self.release(port)


PORTS = Ports()
