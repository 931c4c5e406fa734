"""sni in [forward.NAME]: a tunnel leads only to the server that its client of TLS asks for."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unit.discovery.nameserver import Nameserver, nameserver

from ..harness import Backends, Balancer
from .proxy import Tunnel, lines, proxy
from .test_socks import asked, by_name


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with Backends(1, "quiet") as backends:
        yield int(str(backends.rows()[0]["address"]).rpartition(":")[2])


@pytest.fixture(scope="module")
def server() -> Iterator[Nameserver]:
    with nameserver() as one:
        one.zone["www.example A"] = ["www.example 60 A 127.0.0.1"]
        yield one


def matching(server: Nameserver, **more: Any) -> Balancer:
    names = {"servers": [f"127.0.0.1:{server.port}"], "family": "ipv4"}
    return proxy(resolve=names, **({"sni": "match"} | more))


def hello(name: str | None) -> bytes:
    """What a client of TLS says first."""
    context = ssl.create_default_context()
    context.check_hostname = False
    came, said = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(came, said, server_hostname=name).do_handshake()
    return said.read()


def comes_back(sock: socket.socket, said: bytes) -> bool:
    """Says it, to a server that echoes. False: the tunnel was cut."""
    got = b""
    try:
        sock.sendall(said)
        while len(got) < len(said) and (data := sock.recv(65536)):
            got += data
    except ConnectionError:
        assert not got
    assert got in (b"", said)
    return bool(got)


@pytest.mark.parametrize(
    ("host", "said", "passes"),
    [
        ("www.example", hello("www.example"), True),
        ("WWW.example.", hello("www.example"), True),
        ("www.example", hello("other.example"), False),
        ("www.example", hello("w.example"), False),
        ("www.example", hello(None), False),
        ("www.example", b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n", False),
        ("127.0.0.1", hello(None), True),
        ("127.0.0.1", hello("other.example"), False),
    ],
)
def test_only_the_server_that_was_named(
    server: Nameserver, port: int, tmp_path: Path, host: str, said: bytes, passes: bool
) -> None:
    log = tmp_path / "access"
    with matching(server, log=log) as lb:
        with Tunnel(lb, f"{host}:{port}") as tunnel:
            assert tunnel.status == 200
            assert comes_back(tunnel.sock, said) == passes
            assert not passes or tunnel.echoes(b"more" * 10_000)
        [line] = lines(log)
    tls = said[0] == 0x16
    assert line.get("fault") == (None if passes else "sni_mismatch" if tls else "no_tls")
    assert line.get("sni") == next(
        (name for name in ("www.example", "other.example", "w.example") if hello_has(said, name)),
        None,
    )


def hello_has(said: bytes, name: str) -> bool:
    return said[0] == 0x16 and b"\0" + bytes([len(name)]) + name.encode() in said


def test_a_hello_that_comes_early_and_in_pieces(server: Nameserver, port: int) -> None:
    said = hello("www.example")
    with matching(server) as lb:
        with Tunnel(lb, f"www.example:{port}", early=said) as tunnel:
            assert tunnel.read(len(said)) == said
        with Tunnel(lb, f"www.example:{port}", early=said[:7]) as tunnel:
            tunnel.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(7, len(said)):
                tunnel.sock.sendall(said[at : at + 1])
            assert tunnel.read(len(said)) == said
        with Tunnel(lb, f"www.example:{port}", early=hello("x.example")) as tunnel:
            assert not comes_back(tunnel.sock, b"")


def test_who_says_nothing_is_cut_in_time_and_nothing_of_the_server_comes_before(
    server: Nameserver, tmp_path: Path
) -> None:
    log = tmp_path / "access"
    with Backends(1, "echo") as speakers:
        port = str(speakers.rows()[0]["address"]).rpartition(":")[2]
        with matching(server, log=log, http={"head_timeout": "1s"}) as lb:
            with Tunnel(lb, f"www.example:{port}") as tunnel, contextlib.suppress(ConnectionError):
                assert tunnel.sock.recv(1) == b""
            assert lines(log)[0]["fault"] == "no_tls"


def test_socks_may_carry_what_is_no_tls(server: Nameserver, port: int) -> None:
    with matching(server, socks=True) as lb:
        for said, passes in (
            (b"anything", True),
            (hello("www.example"), True),
            (hello("other.example"), False),
        ):
            sock, reply = asked(lb, by_name(b"www.example", port))
            with sock:
                assert reply == 0
                assert comes_back(sock, said) == passes


def test_log_tells_the_name_and_cuts_nobody(server: Nameserver, port: int, tmp_path: Path) -> None:
    log = tmp_path / "access"
    with matching(server, sni="log", log=log) as lb:
        for said in (hello("other.example"), b"no tls"):
            with Tunnel(lb, f"www.example:{port}") as tunnel:
                assert comes_back(tunnel.sock, said)
        found = lines(log, 2)
    assert [line.get("sni") for line in found] == ["other.example", None]
    assert [line.get("fault") for line in found] == [None, None]
