"""Hostile targets beside a good one: theirs are bounded failures with reasons, its checks go on."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import pytest

from l4lb.checker.plan import Plan
from l4lb.checker.types import Settings
from l4lb.native.results import RESULT_WORDS
from l4lb.native.rows import Address
from l4lb.native.table import Table
from tests.e2e.harness.deadline import until
from tests.unit.supervisor.tables import table_of

from .conftest import Backend, Process
from .servers import serving

Start = Callable[[Table, Mapping[str, Settings | Plan]], Process]


def settings(kind: str, timeout_ms: int = 300, **given: object) -> Settings:
    return Settings(kind, 100, timeout_ms, 2, 1, 0, **given)  # type: ignore[arg-type]


def never(sock: socket.socket) -> None:
    """Says nothing, and keeps the connection."""
    while sock.recv(4096):
        pass


def drips(sock: socket.socket) -> None:
    """A byte now and then."""
    over = threading.Event()
    while not over.wait(0.1):
        sock.sendall(b"H")


def floods(sock: socket.socket) -> None:
    """A body of a gigabyte."""
    sock.recv(4096)
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
    while True:
        sock.sendall(b"x" * 65536)


def shuts(sock: socket.socket) -> None:
    """Ends a handshake in its middle."""
    sock.recv(100)


def nonsense(sock: socket.socket) -> None:
    sock.recv(4096)
    sock.sendall(os.urandom(1000) + b"\r\n\r\n")
    never(sock)


HOSTILE = {
    "never": (never, settings("http"), {"timeout"}),
    "drips": (drips, settings("http"), {"timeout"}),
    "floods": (floods, settings("http", 20_000, body="never there"), {"answer"}),
    "shuts": (shuts, settings("tls", 20_000), {"closed", "reset"}),
    "nonsense": (nonsense, settings("http", 20_000), {"answer"}),
    "silent": (never, settings("tls"), {"timeout"}),
}


@pytest.fixture
def targets() -> Iterator[dict[str, Address]]:
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(serving(talk)) for name, (talk, *_) in HOSTILE.items()}


def test_each_is_a_bounded_failure_with_its_reason_and_the_good_one_is_checked_on_time(
    backend: Backend, start: Start, targets: dict[str, Address]
) -> None:
    pools = {name: {"a": address} for name, address in targets.items()}
    plans: dict[str, Settings | Plan] = {name: one[1] for name, one in HOSTILE.items()}
    plans["good"] = settings("tcp", 20_000)
    table = table_of({**pools, "good": {"a": backend.address}})
    checker = start(table, plans)
    good = len(pools)
    checker.until("the good one is up", lambda row: row.health == "up", good)
    for index, (name, (_, _, due)) in enumerate(HOSTILE.items()):
        row = checker.until(f"{name} is down", lambda row: row.health == "down", index)
        assert RESULT_WORDS[row.check_result] in due, name
    first, started_ms = checker.row(good), time.monotonic_ns() // 1_000_000
    until(lambda: checker.row(good).checks_passed >= first.checks_passed + 20, "20 more checks")
    last = checker.row(good)
    # 20 checks at 100 ms: were one of the others in the way, it would be seconds.
    assert last.check_at_ms - started_ms < 20 * 100 + 2_000
    assert (last.health, last.checks_failed) == ("up", 0)


def test_many_silent_targets_delay_no_other(backend: Backend, start: Start) -> None:
    """Their queue is full: no handshake ends."""
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("0.0.0.0", 0))
        full.listen(0)
        port = full.getsockname()[1]
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        silent = {f"s{i}": Address(f"127.2.{i // 250}.{i % 250 + 1}", port) for i in range(60)}
        table = table_of({"good": {"a": backend.address}, "silent": silent})
        plans = {"good": settings("tcp", 20_000), "silent": settings("tcp", 5_000)}
        checker = start(table, plans)
        checker.until("the good one is up", lambda row: row.health == "up", 0)
        checker.until_checked(more=20)
        assert checker.row(0).checks_failed == 0
        checker.until("a silent one is down", lambda row: row.health == "down", 1)


def test_no_descriptor_is_left_by_any_of_them(start: Start, targets: dict[str, Address]) -> None:
    pools = {name: {"a": address} for name, address in targets.items()}
    checker = start(table_of(pools), {name: one[1] for name, one in HOSTILE.items()})
    for index in range(len(pools)):
        checker.until_checked(more=2, index=index)
    folder = f"/proc/{checker.pid}/fd"
    many = len(os.listdir(folder))
    for index in range(len(pools)):
        checker.until_checked(more=3, index=index)
    until(lambda: len(os.listdir(folder)) <= many + len(pools), "none is left")
