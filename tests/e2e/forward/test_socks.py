"""SOCKS5: the conversation, and the tunnel behind it."""

from __future__ import annotations

import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..harness import PATIENCE_S, Backends, Balancer
from ..harness.http import answer
from ..harness.origin import Origin
from .proxy import exactly, lines, proxy


@pytest.fixture(scope="module")
def echo() -> Iterator[Backends]:
    with Backends(1, "quiet") as backends:
        yield backends


@pytest.fixture(scope="module")
def lb() -> Iterator[Balancer]:
    with proxy(socks=True) as one:
        yield one


def request(address: str, command: int = 1) -> bytes:
    host, port = address.rsplit(":", 1)
    return b"\x05%c\x00\x01" % command + socket.inet_aton(host) + struct.pack("!H", int(port))


def by_name(name: bytes, port: int) -> bytes:
    return b"\x05\x01\x00\x03%c%b" % (len(name), name) + struct.pack("!H", port)


def asked(lb: Balancer, said: bytes, *, methods: bytes = b"\x00") -> tuple[socket.socket, int]:
    """Greets and asks. Returns the connection and the reply."""
    sock = lb.connect(PATIENCE_S)
    sock.sendall(b"\x05%c%b" % (len(methods), methods))
    assert exactly(sock, 2) == b"\x05\x00"
    sock.sendall(said)
    reply = exactly(sock, 10)
    assert reply[0] == 5
    return sock, reply[1]


def address(echo: Backends) -> str:
    return str(echo.rows()[0]["address"])


def test_a_tunnel_carries_all_bytes(echo: Backends, tmp_path: Path) -> None:
    log = tmp_path / "access"
    with proxy(socks=True, log=log) as lb:
        sock, reply = asked(lb, request(address(echo)))
        assert reply == 0
        sock.sendall(b"x" * 50_000)
        assert exactly(sock, 50_000) == b"x" * 50_000
        sock.close()
        [line] = lines(log)
    assert line["method"] == "CONNECT"
    assert line["request_bytes"] == line["answer_bytes"] == 50_000
    assert line["address"] == address(echo)


def test_all_in_one_piece_and_byte_by_byte(lb: Balancer, echo: Backends) -> None:
    said = b"\x05\x01\x00" + request(address(echo)) + b"hello"
    expected = b"\x05\x00" + b"\x05\x00\x00\x01" + bytes(6) + b"hello"
    for step in (len(said), 1):
        with lb.connect(PATIENCE_S) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(said), step):
                sock.sendall(said[at : at + step])
            assert exactly(sock, len(expected)) == expected


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        (request("127.0.0.1:1"), 5),
        (request("127.0.0.1:80", command=2), 7),
        (request("127.0.0.1:80", command=3), 7),
        (b"\x05\x01\x00\x09" + bytes(6), 8),
        (by_name(b"0x7f.1", 80), 1),
    ],
    ids=["refused", "bind", "udp", "address type", "no host"],
)
def test_each_failure_has_its_reply(lb: Balancer, said: bytes, reply: int) -> None:
    sock, got = asked(lb, said)
    assert got == reply
    assert sock.recv(1) == b""
    sock.close()


@pytest.mark.parametrize("said", [b"\x04\x01\x00\x50", b"GET / HTTP/1.1\r\n", b"\x05\x00"])
def test_who_speaks_something_else_is_refused(lb: Balancer, said: bytes) -> None:
    with lb.connect(PATIENCE_S) as sock:
        sock.sendall(said)
        assert exactly(sock, 2) == b"\x05\xff"
        assert sock.recv(1) == b""


def test_a_method_that_nobody_knows_is_refused(lb: Balancer) -> None:
    with lb.connect(PATIENCE_S) as sock:
        sock.sendall(b"\x05\x01\x01")
        assert exactly(sock, 2) == b"\x05\xff"


def test_nobody_gets_inside_unless_that_is_allowed(echo: Backends) -> None:
    with proxy(socks=True, inside=False) as guarded:
        _, reply = asked(guarded, request(address(echo)))
        assert reply == 2


def test_curl_goes_through(lb: Balancer) -> None:
    with Origin(lambda _: answer(b"hello")) as origin:
        host, port = lb.address
        command = ["curl", "-sS", "--max-time", "20", "-x", f"socks5://{host}:{port}"]
        ran = subprocess.run(
            [*command, f"http://{origin.address}/"], capture_output=True, timeout=30, check=False
        )
        assert ran.stdout == b"hello", ran.stderr
