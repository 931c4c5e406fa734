"""A real checker process with a real table and a real listener."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgpack
import pytest

from l4lb.checker import main
from l4lb.checker.plan import Plan, messages
from l4lb.checker.types import Settings
from l4lb.native.rows import Address, BackendRow
from l4lb.native.table import Table
from l4lb.supervisor.process.child import Child, channel, fork
from tests.e2e.harness.deadline import until


class Backend:
    """A loopback port that belongs to the test, whether anything listens on it or not."""

    def __init__(self) -> None:
        self._claim = self._bound(0)
        self._listener: socket.socket | None = None
        self.start()

    def _bound(self, port: int) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", port))
        return sock

    @property
    def address(self) -> Address:
        return Address(*self._claim.getsockname())

    def start(self) -> None:
        self._listener = self._bound(self.address.port)
        self._listener.listen(1024)

    def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def close(self) -> None:
        self.stop()
        self._claim.close()


def plans_of(checks: Mapping[str, Settings | Plan]) -> dict[str, Plan]:
    """Returns plans that have only these checks."""
    return {
        name: one if isinstance(one, Plan) else Plan(checks=one) for name, one in checks.items()
    }


class Process:
    """A checker process and the supervisor's end of its channel."""

    def __init__(self, table: Table, checks: Mapping[str, Settings | Plan]) -> None:
        self.table = table
        self.channel, theirs = channel()
        setup = main.CheckerSetup(table, theirs, plans_of(checks))
        now_ms = time.monotonic_ns() // 1_000_000
        self._child: Child | None = fork(
            "checker", lambda: main.run(setup), keep=[theirs.fileno()], now_ms=now_ms
        )
        theirs.close()
        self.channel.settimeout(20)

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    def row(self, index: int = 0) -> BackendRow:
        row = self.table.backend(index)
        assert row is not None
        return row

    def until(self, what: str, holds: Callable[[BackendRow], object], index: int = 0) -> BackendRow:
        """Returns the row as soon as the condition holds."""
        until(lambda: bool(holds(self.row(index))), what, every_s=0.005)
        return self.row(index)

    def until_checked(self, more: int = 1, index: int = 0) -> BackendRow:
        """Returns the row after this number of further checks of it."""
        before = self.row(index)
        target = before.checks_passed + before.checks_failed + more
        return self.until(
            "another check", lambda row: row.checks_passed + row.checks_failed >= target, index
        )

    def event(self) -> dict[str, Any]:
        """Returns the checker's next event."""
        told: dict[str, Any] = msgpack.unpackb(self.channel.recv(64 << 10))["event"]
        return told

    def configure(self, pools: Mapping[str, Mapping[str, Any]]) -> None:
        """pools: by pool, the settings of its health check."""
        known = plans_of({name: Settings.from_map(one) for name, one in pools.items()})
        for message in messages(known):
            self.channel.send(msgpack.packb(message))

    def ended(self) -> str:
        """Waits for the end of the process. Returns how it ended, in words."""
        child = self._child
        assert child is not None
        until(
            lambda: os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT), "end"
        )
        self._child = None
        return child.reap()

    def close(self) -> None:
        """Ends the process whatever it does."""
        self.channel.close()
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                self._child.kill(signal.SIGKILL)
            self.ended()


@pytest.fixture
def backend() -> Iterator[Backend]:
    one = Backend()
    yield one
    one.close()


@pytest.fixture
def start() -> Iterator[Callable[[Table, Mapping[str, Settings | Plan]], Process]]:
    """Starts checkers that end with the test."""
    with contextlib.ExitStack() as stack:

        def started(table: Table, checks: Mapping[str, Settings | Plan]) -> Process:
            process = Process(table, checks)
            stack.callback(process.close)
            return process

        yield started
