"""Hostile targets beside a good one: their checks fail within bounds and with a reason; the good
one's checks go on."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping

import pytest

from l4lb.checker.plan import Plan
from l4lb.checker.types import Settings
from l4lb.native.health import health
from l4lb.native.results import RESULT_WORDS, HealthRow
from l4lb.native.rows import Address
from l4lb.native.table import Table
from tests.e2e.harness.deadline import until
from tests.unit.supervisor.tables import table_of

from .conftest import Backend, Process
from .servers import Talk, serving

Start = Callable[[Table, Mapping[str, Settings | Plan]], Process]


def settings(kind: str, timeout_ms: int = 300, **given: object) -> Settings:
    return Settings(kind, 1_000, timeout_ms, 2, 1, 0, **given)  # type: ignore[arg-type]


def never(sock: socket.socket) -> None:
    """Sends nothing, and keeps the connection."""
    while sock.recv(4096):
        pass


def shuts(sock: socket.socket) -> None:
    """Closes in the middle of a handshake."""
    sock.recv(4096)


def says(first: bytes, again: bytes = b"", *, unasked: bool = False) -> Talk:
    """Sends the first text, then the second one without end, or nothing more."""

    def talk(sock: socket.socket) -> None:
        if not unasked:
            sock.recv(4096)
        sock.sendall(first)
        while again:
            sock.sendall(again * (1 + 16_384 // len(again)))
        never(sock)

    return talk


def drips(data: bytes) -> Talk:
    """Sends a byte now and then."""

    def talk(sock: socket.socket) -> None:
        for byte in itertools.chain(data, itertools.repeat(data[-1])):
            time.sleep(0.02)
            sock.sendall(bytes((byte,)))

    return talk


def floods_with_bytes(data: bytes) -> Talk:
    """Sends one byte in each segment, as fast as it can."""

    def talk(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in itertools.chain(data, itertools.repeat(data[-1])):
            sock.send(bytes((byte,)))

    return talk


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
UPGRADE = ("Connection: upgrade", "Upgrade: x")
SWITCH = b"HTTP/1.1 101 Other\r\nUpgrade: x\r\n\r\n"
RECORD = b"\x16\x03\x03\x40\x00" + b"\0" * 16_384  # of a TLS handshake
PATIENT = 20_000
GOOD = Settings("tcp", 100, 20_000, 2, 1, 0)
HTTP = settings("http", PATIENT)
BODY = settings("http", PATIENT, body="never there")
EXPECT = settings("tcp", PATIENT, expect="never there")
STEPS = [{"expect": "x"}, {"send": "y", "expect": "never there"}]

# Each target: its name, its check, and the expected result and text.
HOSTILE: dict[str, tuple[Talk, Settings, str, str]] = {
    "never starts": (never, settings("http"), "timeout", "no answer in 300 ms"),
    "never starts, tcp": (never, settings("tcp", expect="x"), "timeout", "no answer in 300 ms"),
    "never handshakes hands": (never, settings("tls"), "timeout", "no answer in 300 ms"),
    "drips": (drips(b"HTTP/1.1 200 O"), settings("http", 2_000), "timeout", 'in 2000 ms, got "HT'),
    "drips, tcp": (drips(b"-ERR"), settings("tcp", 2_000, expect="+"), "answer", 'got "-E'),
    "drips a record": (drips(RECORD), settings("tls"), "timeout", "no answer in 300 ms"),
    "bytes": (floods_with_bytes(b"x"), settings("tcp", 900, expect="y"), "answer", 'got "xx'),
    "bytes of a body": (
        floods_with_bytes(CHUNKED + b"1\r\nx\r\n9"), settings("http", PATIENT, body="z"), "answer",
        "chunk",
    ),
    "endless body": (says(OK + b"\r\n", b"x"), BODY, "answer", "does not match"),
    "endless body with its length": (
        says(OK + b"Content-Length: 1073741824\r\n\r\n", b"x"), BODY, "answer", "does not match",
    ),
    "endless chunks": (says(CHUNKED, b"1\r\nx\r\n"), BODY, "answer", "does not match"),
    "60,000 chunks": (
        says(CHUNKED + b"1\r\nx\r\n" * 60_000 + b"0\r\n\r\n"), BODY, "answer", "does not match",
    ),
    "wordy chunks": (
        says(CHUNKED, b"1;" + b"y" * 900 + b"\r\nx\r\n"), BODY, "answer", "no end in 1048576",
    ),
    "endless trailers": (says(CHUNKED + b"0\r\n", b"X: y\r\n"), BODY, "answer", "no end in"),
    "endless headers": (says(OK, b"X: y\r\n"), HTTP, "answer", "in 16384 bytes of header"),
    "an endless header": (says(OK + b"X: ", b"y"), HTTP, "answer", "in 16384 bytes of header"),
    "endless empty lines": (says(b"", b"\r\n"), HTTP, "answer", "in 16384 bytes of header"),
    "endless 100 Continue": (
        says(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), HTTP, "answer", "interim",
    ),
    "101, asked for": (
        says(SWITCH, b"x"), settings("http", PATIENT, headers=UPGRADE), "answer", "101 Other, not",
    ),
    "101, not asked for": (says(SWITCH), HTTP, "answer", "101 Other, not 200-399"),
    "a tunnel": (
        says(OK + b"\r\n", b"x"), settings("http", PATIENT, method="CONNECT", body="x"), "answer",
        "does not match",
    ),
    "nonsense": (says(b"\x1b]0;x\x07\0" * 99), HTTP, "answer", 'not HTTP: got "\\x1b]0;x'),
    "endless words": (
        says(b"", b"word ", unasked=True), EXPECT, "answer", "not found in 65536 bytes",
    ),
    "endless words after a step": (
        says(b"", b"x", unasked=True), settings("tcp", PATIENT, steps=STEPS), "answer",
        "step 2 of 2: not found",
    ),
    "endless handshake": (says(b"", RECORD), settings("tls", PATIENT), "tls", "TLS: "),
    "shuts": (shuts, settings("tls", PATIENT), "closed", "closed during TLS"),
    "program that prints": (
        never, settings("exec", 2_000, command=["/usr/bin/yes"]), "timeout", "in 2000 ms: y",
    ),
    "program that hangs": (
        never, settings("exec", command=["/bin/sleep", "600"]), "timeout", "not ended in 300 ms",
    ),
}  # fmt: skip


ONE_OF_EACH = (
    "never starts", "never starts, tcp", "never handshakes hands", "endless body", "60,000 chunks",
    "101, asked for", "endless words", "shuts", "nonsense", "program that hangs",
)  # fmt: skip


def known(table: Table, index: int) -> HealthRow:
    row = health(table, index)
    assert row is not None
    return row


@pytest.fixture
def targets() -> Iterator[dict[str, Address]]:
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(serving(talk)) for name, (talk, *_) in HOSTILE.items()}


def test_each_is_a_bounded_failure_with_its_reason_and_the_good_one_is_checked_on_time(
    backend: Backend, start: Start, targets: dict[str, Address]
) -> None:
    pools = {name: {"a": address} for name, address in targets.items()}
    plans: dict[str, Settings | Plan] = {name: one[1] for name, one in HOSTILE.items()}
    plans["good"] = GOOD
    table = table_of({**pools, "good": {"a": backend.address}})
    checker = start(table, plans)
    good = len(pools)
    checker.until("the good one is up", lambda row: row.health == "up", good)
    for index, (name, (_, _, due, text)) in enumerate(HOSTILE.items()):
        row = checker.until(f"{name} is down", lambda row: row.health == "down", index)
        said = known(table, index).text
        assert (RESULT_WORDS[row.check_result], text in said) == (due, True), (name, said)
    first = checker.row(good)
    until(lambda: checker.row(good).checks_passed >= first.checks_passed + 20, "20 more checks")
    last = checker.row(good)
    assert (last.health, last.checks_failed) == ("up", 0)


def test_many_silent_targets_delay_no_other(backend: Backend, start: Start) -> None:
    """The targets' queues are full, so no handshake ends."""
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
        plans = {"good": GOOD, "silent": settings("tcp", 5_000)}
        checker = start(table, plans)
        checker.until("the good one is up", lambda row: row.health == "up", 0)
        checker.until_checked(more=20)
        assert checker.row(0).checks_failed == 0
        checker.until("a silent one is down", lambda row: row.health == "down", 1)


def test_no_descriptor_is_left_by_any_of_them(start: Start, targets: dict[str, Address]) -> None:
    pools = {name: {"a": targets[name]} for name in ONE_OF_EACH}
    checker = start(table_of(pools), {name: HOSTILE[name][1] for name in pools})
    folder = f"/proc/{checker.pid}/fd"

    def until_checked(times: int) -> None:
        for index, name in enumerate(pools):
            checker.until(f"{name}, {times}", lambda row: row.checks_failed >= times, index)

    until_checked(2)
    many = len(os.listdir(folder))
    until_checked(4)
    until(lambda: len(os.listdir(folder)) <= many + len(pools), "none is left")
