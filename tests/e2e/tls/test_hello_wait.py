"""Backends that get the client's server name in a PROXY header: clients that send no ClientHello
are not delayed."""

from __future__ import annotations

import socket
import time
from typing import Any

import pytest
from doors.wire import read_proxy, write_proxy
from hellos import hello

from ..harness import PORTS, Balancer, Door, one_pool, until

CLIENT = ("203.0.113.7", 4711)
MEANT = ("198.51.100.1", 443)


def told(peer: socket.socket, count: int) -> tuple[tuple[Any, ...], bytes]:
    """Returns a header and at least this number of bytes after it."""
    got = b""
    while (read := read_proxy(got))[0] == "more" or len(got) < read[1] + count:
        piece = peer.recv(1 << 16)
        if not piece:
            break
        got += piece
    return read, got[read[1] :]


def telling(address: str, **more: Any) -> Balancer:
    """A balancer that tells its backend the server names of TLS clients. Clients have a long time
    to send theirs."""
    pool: dict[str, Any] = {"send_proxy": "v2", "proxy_tlvs": ["authority", "alpn"]}
    config = one_pool(f"127.0.0.1:{PORTS.take()}", [address], process={"workers": 1}, **pool)
    config["listeners"]["web"] |= {"handshake_timeout": "10m", **more}
    return Balancer(config)


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.0\r\n\r\n", b"\x16", b"\x16yes", b"\x01"])
def test_who_does_not_begin_with_a_hello_is_not_held_for_one(said: bytes) -> None:
    with Door() as door, telling(door.address) as lb, lb.connect() as client:
        if said:
            client.sendall(said)
        if said == b"\x16":  # may begin a ClientHello: the half-close says that no more comes
            client.shutdown(socket.SHUT_WR)
        with door.accept() as backend:
            backend.sendall(b"220 server first\r\n")
            assert client.recv(100) == b"220 server first\r\n"
            header, behind = told(backend, len(said))
            assert (header[2], header[5], behind) == (2, (), said)


def test_a_silent_client_behind_a_proxy_is_not_held_either() -> None:
    with (
        Door() as door,
        telling(door.address, proxy_protocol="require", trusted=["127.0.0.1"]) as lb,
        lb.connect() as client,
    ):
        client.sendall(write_proxy(2, CLIENT, MEANT))
        with door.accept() as backend:
            header, _ = told(backend, 0)
            assert header[3:5] == (CLIENT, MEANT)


def test_a_hello_that_comes_in_pieces_is_waited_for_and_told() -> None:
    whole = hello("asked.example", ("h2",))
    with Door() as door, telling(door.address) as lb, lb.connect() as client:
        client.sendall(whole[:1])
        until(lambda: lb.ask("sessions"), "its session is there")
        time.sleep(0.5)  # why: longer than the balancer waits for a first byte
        for at in range(1, len(whole), 40):
            client.sendall(whole[at : at + 40])
        with door.accept() as backend:
            header, behind = told(backend, len(whole))
            assert dict(header[5])[2] == b"asked.example"
            assert behind == whole
