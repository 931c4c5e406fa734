"""Limits of TLS handshakes, in rate and number; clients that are served already do not notice."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from ..harness import PATIENCE_S, PORTS, Backends, Balancer, until
from ..harness.secure import Authority, secure


@pytest.fixture(scope="module")
def ca() -> Iterator[Authority]:
    with Authority() as authority:
        yield authority


def test_beyond_the_rate_clients_wait_for_their_turn_and_too_many_are_refused(
    ca: Authority,
) -> None:
    tls = {"certificates": [ca.issue("localhost")], "handshake_rate": 20, "handshake_burst": 1}
    context = ca.client()
    with (
        Backends(1) as backends,
        Balancer.secured(
            backends.addresses, tls, listener={"handshake_timeout": "2s"}, workers=2
        ) as lb,
    ):

        def come(_: int) -> float | None:
            try:
                with secure(lb.connect(), context) as peer:
                    return time.monotonic() if peer.recv(1) else None
            except (ssl.SSLError, OSError):
                return None

        begin = time.monotonic()
        with ThreadPoolExecutor(80) as clients:
            served = sorted(filter(None, clients.map(come, range(80))))
        # A turn in the virtual queue is 50 ms, so the handshakes must have taken that long
        # together. A client waits for 2 s, so 40 turns fit into one wait. How many of the 80 come
        # late enough for more depends on the machine.
        assert len(served) >= 25
        assert served[-1] - begin > 0.05 * (len(served) - 3)
        assert lb.ask("stats")["ended"]["rejected:tls_rate"] > 0


def test_no_more_handshakes_at_one_time_than_the_limit(ca: Authority) -> None:
    tls = {"certificates": [ca.issue("localhost")], "max_handshakes": 3}
    binds = [f"127.0.0.1:{PORTS.take()}" for _ in range(2)]
    listener = {"handshake_timeout": "3s", "bind": binds}
    with (
        Backends(1) as backends,
        Balancer.secured(backends.addresses, tls, listener=listener, workers=1) as lb,
    ):
        held = []
        for number in range(3):
            host, _, port = binds[number % 2].rpartition(":")
            peer = socket.create_connection((host, int(port)), PATIENCE_S)
            peer.sendall(client_hello())  # a handshake that begins and does not go on
            held.append(peer)
        until(lambda: lb.ask("listeners")[0]["tls"]["in_progress"] == 3, "three are in progress")
        sock = lb.connect()
        context = ca.client()
        with ThreadPoolExecutor(1) as one:
            waiting = one.submit(secure, sock, context)
            assert lb.ask("listeners")[0]["tls"]["in_progress"] == 3
            for peer in held:
                peer.close()
            waiting.result(timeout=30).close()
        until(lambda: lb.ask("listeners")[0]["tls"]["in_progress"] == 0, "none is in progress")


def test_sessions_go_on_while_handshakes_flood(ca: Authority) -> None:
    tls = {"certificates": [ca.issue("localhost", file="rsa", key="RSA")]}
    with (
        Backends(1, "quiet") as backends,
        Balancer.secured(backends.addresses, tls, workers=1) as lb,
        secure(lb.connect(), ca.client()) as session,
    ):
        hello = client_hello()
        flood = []
        for number in range(400):
            peer = lb.connect()
            peer.sendall(hello)
            flood.append(peer)
            if number % 40 == 0:
                session.sendall(b"x")
                assert session.recv(1) == b"x"
        until(lambda: lb.ask("listeners")[0]["tls"]["in_progress"] == 400, "all have begun")
        for peer in flood:
            peer.close()
        session.sendall(b"y")
        assert session.recv(1) == b"y"


def client_hello() -> bytes:
    """Returns the first flight of a client."""
    to, ours = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    client = context.wrap_bio(to, ours, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return ours.read()


def test_clients_that_leave_in_the_middle_leave_nothing(ca: Authority) -> None:
    tls = {"certificates": [ca.issue("localhost")]}
    hello = client_hello()
    with Backends(1) as backends, Balancer.secured(backends.addresses, tls, workers=1) as lb:
        for size in range(1, len(hello), 37):
            with socket.create_connection(lb.address) as peer:
                peer.sendall(hello[:size])
        until(lambda: lb.status()["connections"] == 0, "all sessions have ended", timeout_s=30)
        assert lb.ask("listeners")[0]["tls"]["in_progress"] == 0
        secure(lb.connect(), ca.client()).close()


@pytest.mark.parametrize("reads", ["tls", "proxy", "hello"])
def test_who_is_silent_has_the_time_of_the_first_byte_and_who_began_more(
    ca: Authority, reads: str
) -> None:
    with Backends(1) as backends:
        lb = Balancer.before(backends.addresses, workers=1)
        assert lb.config is not None
        lb.config["listeners"]["web"] |= {
            "handshake_timeout": "60s",
            "limits": {"first_byte_timeout": "500ms"},
            **{
                "tls": {"tls": {"certificates": [ca.issue("localhost")]}},
                "proxy": {"proxy_protocol": "require", "trusted": ["127.0.0.1"]},
                "hello": {"routes": [{"sni": "localhost", "pool": "web"}]},
            }[reads],
        }
        with lb, lb.connect() as slow, lb.connect() as silent:
            slow.sendall(b"PROXY TCP4 1" if reads == "proxy" else b"\x16\x03\x01\x02\x00\x01")
            silent.settimeout(30)
            with pytest.raises(ConnectionResetError):
                silent.recv(1)
            assert lb.ask("stats")["ended"] == {"rejected:first_byte_timeout": 1}
            slow.settimeout(0.3)
            with pytest.raises(TimeoutError):
                slow.recv(1)
