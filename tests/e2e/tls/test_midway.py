"""Handshakes that are half done when a reload comes, with a large certificate chain, or with a slow
reader."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..harness import PATIENCE_S, Backends, Balancer, toml, until
from ..harness.secure import Authority, certificate_names, secure


@pytest.fixture(scope="module")
def ca() -> Iterator[Authority]:
    with Authority() as authority:
        yield authority


class Halfway:
    """A TLS client that makes its handshake step by step."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self.sock = sock
        sock.settimeout(PATIENCE_S)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._in, self._out, server_hostname="localhost")
        with contextlib.suppress(ssl.SSLWantReadError):
            self._ssl.do_handshake()
        self.hello = self._out.read()

    def _take(self) -> None:
        data = self.sock.recv(4096)
        assert data, "the other side has ended"
        self._in.write(data)

    def finish(self) -> bytes:
        """Completes the handshake. Returns the answer to one byte."""
        while True:
            try:
                self._ssl.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._take()
        self._ssl.write(b"x")
        self.sock.sendall(self._out.read())
        while True:
            try:
                return self._ssl.read(1)
            except ssl.SSLWantReadError:
                self._take()


def test_a_reload_meets_handshakes_halfway_and_fails_none(ca: Authority) -> None:
    tls = {"certificates": [ca.issue("localhost")]}
    with (
        Backends(1, "quiet") as backends,
        Balancer.secured(backends.addresses, tls) as lb,
        contextlib.ExitStack() as stack,
    ):
        half = [Halfway(stack.enter_context(lb.connect()), ca.client()) for _ in range(12)]
        for number, client in enumerate(half):
            client.sock.sendall(client.hello[: 60 if number % 2 else None])
        until(lambda: lb.ask("listeners")[0]["tls"]["in_progress"] == 6, "six were answered")
        before = lb.ask("certs")[0]["loaded"]
        assert lb.config is not None
        lb.config["listeners"]["web"]["tls"] |= {
            "certificates": [ca.issue("localhost", file="next", key="RSA")],
            "min_version": "1.3",
        }
        (lb.folder / "l4lb.toml").write_text(toml(lb.config))
        lb.admin("reload")
        until(lambda: lb.ask("certs")[0]["loaded"] > before, "the new certificate is in force")
        for number, client in enumerate(half):
            client.sock.sendall(client.hello[60:] if number % 2 else b"")
            assert client.finish() == b"x"
        row = lb.ask("listeners")[0]["tls"]
        assert (row["full"], row["failed"], row["in_progress"]) == (12, 0, 0)


def test_a_chain_larger_than_the_sockets_buffers_reaches_a_slow_reader(ca: Authority) -> None:
    row = ca.issue("localhost", file="long")
    chain = Path(row["cert"])
    chain.write_bytes(chain.read_bytes() + Path(ca.path).read_bytes() * 120)
    with (
        Backends(1, "quiet") as backends,
        Balancer.secured(backends.addresses, {"certificates": [row]}, workers=1) as lb,
        socket.socket() as sock,
    ):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.connect(lb.address)
        client = Halfway(sock, ca.client())
        sock.sendall(client.hello)
        until(lambda: lb.ask("listeners")[0]["tls"]["in_progress"] == 1, "it is answered")
        with secure(lb.connect(), ca.client()) as peer:
            assert certificate_names(peer) == ["localhost"]
        assert client.finish() == b"x"


def refuses(lb: Balancer) -> bool:
    """Returns whether nothing listens any more."""
    try:
        lb.connect().close()
    except ConnectionRefusedError:
        return True
    return False


def ended(client: ssl.SSLSocket) -> bool:
    """Returns whether the other side has ended the connection, in whatever way."""
    try:
        return client.recv(1) == b""
    except (ConnectionResetError, ssl.SSLError):
        return True


@pytest.mark.parametrize("upgrades", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_after_an_upgrade_is_that_of_the_old_workers_sessions_too(
    ca: Authority, number: int, upgrades: int
) -> None:
    tls = {"certificates": [ca.issue("localhost")]}
    with Backends(1) as backends, Balancer.secured(backends.rows(), tls) as lb:
        with secure(lb.connect(), ca.client()) as client:
            assert client.recv(2) == b"a\n"
            for _ in range(upgrades):
                old = lb.pids()
                lb.admin("upgrade")
                until(lambda old=old: set(lb.pids()).isdisjoint(old), "new workers")
            lb.signal(number)
            if number == signal.SIGTERM:
                until(lambda: refuses(lb), "the drain has begun")
                assert lb.process.poll() is None
                client.sendall(b"still here")
                assert client.recv(100) == b"still here"
            else:
                assert ended(client)
        assert lb.wait() == 0
        assert not lb.processes()
