"""The admin socket, fed with input that no client should send: it answers or closes, and goes
on."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ..harness import Backends, Balancer, Load, greet, until, wire

COMMANDS = ("status", "listeners", "pools", "backends", "workers", "sessions")


@pytest.fixture
def lb(three: Backends) -> Iterator[Balancer]:
    """A balancer whose first processes must still answer and serve at the end of the test."""
    with Balancer.before(three.rows()) as balancer:
        titles = ("supervisor", "control", "checker", "worker 0", "worker 1")
        before = sorted(balancer.child(title).pid for title in titles)
        with Load(balancer, threads=1) as load:
            yield balancer
            assert balancer.admin("status")["pid"] == balancer.process.pid
            load.wait_for_more(5)
        assert load.failures == []
        assert sorted(process.pid for process in balancer.processes()) == before


def throw(lb: Balancer, data: bytes) -> bytes:
    """Sends these bytes and a half-close. Returns what comes back until the end, at most 1 MiB."""
    got = b""
    cut_off = contextlib.suppress(BrokenPipeError, ConnectionResetError)
    with wire.connect(lb.socket) as peer, cut_off:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        while len(got) < 1 << 20 and (part := peer.recv(65536)):
            got += part
    return got


def test_random_bytes_are_answered_by_an_error_or_an_end(lb: Balancer) -> None:
    rng = random.Random(11)
    for size in [1, 3, 4, 5, 8, 100, 5000, 200_000] * 4:
        throw(lb, rng.randbytes(size))
        assert lb.answers()


@pytest.mark.parametrize("length", [(1 << 20) + 1, 1 << 24, 1 << 31, (1 << 32) - 1])
def test_an_oversize_length_is_refused_before_its_bytes_are_read(lb: Balancer, length: int) -> None:
    memory = _memory(lb)
    with wire.connect(lb.socket) as peer, contextlib.suppress(OSError):
        peer.sendall(struct.pack(">I", length))
        while peer.recv(65536):
            pass
    assert lb.answers()
    assert _memory(lb) < memory + (64 << 20)


def _memory(lb: Balancer) -> int:
    return int(psutil.Process(lb.child("control").pid).memory_info().rss)


@pytest.mark.parametrize("keep", [1, 3, 4, 5, -1])
def test_half_a_frame_holds_up_no_one_else(lb: Balancer, keep: int) -> None:
    whole = wire.frame({"id": 1, "command": "status", "args": {}})
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            peer = stack.enter_context(wire.connect(lb.socket))
            peer.sendall(whole[:keep])
        for command in COMMANDS:
            lb.ask(command)
    throw(lb, whole[:keep])
    assert lb.answers()


def test_two_hundred_idle_peers_leave_room_for_an_operator(lb: Balancer) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            peer = socket.socket(socket.AF_UNIX)
            stack.enter_context(peer)
            peer.settimeout(5)
            # why: peers beyond the limit may be refused or wait; the operator must be served.
            with contextlib.suppress(OSError):
                peer.connect(lb.socket)
        assert lb.admin("status")["workers"]
        assert lb.admin("backends")


MESSAGES: list[Any] = [
    None,
    7,
    "status",
    [],
    {},
    {"id": 1},
    {"command": "status"},
    {"id": 1, "command": "no such command", "args": {}},
    {"id": 1, "command": 7, "args": {}},
    {"id": 1, "command": None, "args": {}},
    {"id": 1, "command": "status", "args": [1, 2]},
    {"id": 1, "command": "status", "args": {"unknown": 1}},
    {"id": 1, "command": "drain", "args": {}},
    {"id": 1, "command": "drain", "args": {"backend": 7}},
    {"id": 1, "command": "drain", "args": {"backend": "no/such"}},
    {"id": 1, "command": "drain", "args": {"backend": "x" * 100_000}},
    {"id": 1, "command": "weight", "args": {"backend": "web/a", "weight": -1}},
    {"id": 1, "command": "weight", "args": {"backend": "web/a", "weight": 1 << 60}},
    {"id": 1, "command": "weight", "args": {"backend": "web/a", "weight": "many"}},
    {"id": 1, "command": "weight", "args": {"backend": "web/a", "weight": None}},
    {"id": 1, "command": "kill", "args": {"session": "9999.9999.9999"}},
    {"id": 1, "command": "kill", "args": {"session": -1}},
    {"id": 1, "command": "kill", "args": {}},
    {"id": 1, "command": "wait", "args": {"condition": "((((", "timeout": -1}},
    {"id": [1] * 1000, "command": "status", "args": {}},
    {"id": {"a": {"b": {}}}, "command": {"a": []}, "args": {"a": {"b": [None] * 100}}},
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: repr(message)[:60])
def test_a_request_that_makes_no_sense_gets_an_error_and_the_peer_goes_on(
    lb: Balancer, message: Any
) -> None:
    before = lb.ask("backends")
    with wire.connect(lb.socket) as peer:
        peer.sendall(wire.frame(message))
        with contextlib.suppress(EOFError, ConnectionResetError):
            answer = wire.read_frame(peer)
            if not answer["ok"]:
                assert answer["error"]["code"]
                assert answer["error"]["message"]
    for old, new in zip(before, lb.ask("backends"), strict=True):
        assert (new["state"], new["weight"]) == (old["state"], old["weight"])


def test_a_frame_of_deeply_nested_values_does_not_end_the_control_process(lb: Balancer) -> None:
    for body in (b"\x91" * 100_000 + b"\x00", b"\x81\xa1a" * 100_000 + b"\x00"):
        throw(lb, struct.pack(">I", len(body)) + body)
        assert lb.answers()


def test_a_peer_that_asks_much_and_reads_nothing_blocks_no_one(lb: Balancer) -> None:
    request = wire.frame({"id": 1, "command": "backends", "args": {}})
    with wire.connect(lb.socket) as peer:
        peer.setblocking(False)
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            for _ in range(20_000):
                peer.send(request)
        memory = _memory(lb)
        for command in COMMANDS:
            lb.ask(command)
        assert memory < 512 << 20


def test_requests_in_one_write_are_answered_in_order(lb: Balancer) -> None:
    with wire.connect(lb.socket) as peer:
        frames = [wire.frame({"id": n, "command": "status", "args": {}}) for n in range(50)]
        peer.sendall(b"".join(frames))
        assert [wire.read_frame(peer)["id"] for _ in frames] == list(range(50))


def test_frames_are_understood_however_the_bytes_are_cut(lb: Balancer) -> None:
    request = wire.frame({"id": 5, "command": "status", "args": {}})
    with wire.connect(lb.socket) as peer:
        for byte in request:
            peer.sendall(bytes([byte]))
        assert wire.read_frame(peer)["ok"] is True


def test_the_socket_and_its_folder_are_closed_to_others(lb: Balancer) -> None:
    path = Path(lb.socket)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_stranger_who_reaches_the_socket_is_turned_away(lb: Balancer) -> None:
    """The folder's mode keeps others out; the server checks the peer's identity as well."""
    for path, mode in ((lb.folder, 0o755), (Path(lb.socket).parent, 0o755), (lb.socket, 0o666)):
        os.chmod(path, mode)
    child = os.fork()
    if child == 0:
        answer = 2
        try:
            answer = _ask_as_a_stranger(lb.socket)
        finally:
            os._exit(answer)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert {row["state"] for row in lb.ask("backends")} == {"ready"}


def _ask_as_a_stranger(path: str) -> int:
    """Runs in a child that then exits, with 0 if every request was refused or not answered."""
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    try:
        with wire.connect(path) as peer:
            request = {"id": 1, "command": "drain", "args": {"backend": "web/a"}}
            peer.sendall(wire.frame(request))
            return 1 if wire.read_frame(peer)["ok"] else 0
    except (OSError, EOFError):
        return 0


def test_a_session_killed_by_its_id_ends_and_no_other(lb: Balancer) -> None:
    first, _ = greet(lb)
    second, _ = greet(lb)
    with first, second:
        mine = first.getsockname()[1]
        row = until(
            lambda: next(
                (row for row in lb.ask("sessions") if str(row["client"]).endswith(f":{mine}")), None
            ),
            "the session is listed",
        )
        wire.ask(lb.socket, "kill", session=row["id"])
        with pytest.raises(ConnectionResetError):
            first.recv(1)
        second.sendall(b"alive")
        assert second.recv(5) == b"alive"
