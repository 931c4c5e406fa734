"""TLS termination: bytes, ends and resets pass, and wrong handshakes fail."""

from __future__ import annotations

import hashlib
import random
import shutil
import ssl
import subprocess
from collections.abc import Iterator

import pytest

from ..harness import Backends, Balancer, Door, ended, finish, reset, until
from ..harness.secure import Authority, Talk, fails, plain, secure


@pytest.fixture(scope="module")
def ca() -> Iterator[Authority]:
    with Authority() as authority:
        yield authority


@pytest.fixture(scope="module")
def echo(ca: Authority) -> Iterator[Balancer]:
    """A balancer with TLS and one echoing backend."""
    tls = {"certificates": [ca.issue("localhost")]}
    with (
        Backends(1, "quiet") as backends,
        Balancer.secured(
            backends.addresses, tls, listener={"handshake_timeout": "1s"}, workers=1
        ) as lb,
    ):
        yield lb


@pytest.fixture
def door(ca: Authority) -> Iterator[tuple[Balancer, Door]]:
    """A balancer with TLS, and a backend in the test itself."""
    with (
        Door() as door,
        Balancer.secured([door.address], {"certificates": [ca.issue("localhost")]}) as lb,
    ):
        yield lb, door


def handshake_failures(lb: Balancer) -> int:
    return ends(lb).get("tls_handshake_failed", 0)


def ends(lb: Balancer) -> dict[str, int]:
    counts: dict[str, int] = lb.ask("stats")["ended"]
    return counts


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_bytes_come_back_whole(echo: Balancer, ca: Authority, version: str) -> None:
    context = ca.client(maximum_version=getattr(ssl.TLSVersion, version))
    rng = random.Random(1)
    talk = Talk(echo.connect(), context)
    for size in (1, 100, 16384, 16385, 70_000, 300_000):
        data = rng.randbytes(size)
        assert b"".join(talk.exchange([data], size)) == data
    talk.sock.close()


def test_a_flood_both_ways_loses_nothing_however_slowly_it_is_read(
    echo: Balancer, ca: Authority
) -> None:
    size = 24 << 20
    sent, got = hashlib.sha256(), hashlib.sha256()

    def pour() -> Iterator[bytes]:
        rng, left = random.Random(2), size
        while left:
            data = rng.randbytes(min(left, rng.randint(1, 200_000)))
            sent.update(data)
            yield data
            left -= len(data)

    talk = Talk(echo.connect(), ca.client())
    for data in talk.exchange(pour(), size, stuff=True):
        got.update(data)
    assert got.digest() == sent.digest()
    talk.sock.close()


def test_a_clients_close_notify_is_a_half_close(door: tuple[Balancer, Door], ca: Authority) -> None:
    lb, backend_door = door
    talk = Talk(lb.connect(), ca.client())
    backend = backend_door.accept()
    talk.send(b"last words")
    talk.finish()
    assert backend.recv(100) == b"last words"
    assert backend.recv(100) == b""
    backend.sendall(b"answer" * 50_000)
    backend.close()
    assert talk.receive(1 << 20) == b"answer" * 50_000
    until(lambda: ends(lb).get("client_fin") == 1, "it ended well")


def test_a_backends_end_is_a_close_notify_and_the_client_may_go_on(
    door: tuple[Balancer, Door], ca: Authority
) -> None:
    lb, backend_door = door
    with secure(lb.connect(), ca.client()) as peer:
        backend = backend_door.accept()
        backend.sendall(b"bye")
        finish(backend)
        assert peer.recv(10) == b"bye"
        assert peer.recv(10) == b""
        peer.sendall(b"still here")
        assert backend.recv(100) == b"still here"
        backend.close()


def test_an_end_without_close_notify_is_an_end(door: tuple[Balancer, Door], ca: Authority) -> None:
    lb, backend_door = door
    peer = secure(lb.connect(), ca.client())
    backend = backend_door.accept()
    peer.sendall(b"x")
    raw = plain(peer)
    finish(raw)
    assert backend.recv(10) == b"x"
    assert backend.recv(10) == b""
    raw.close()
    backend.close()


def test_resets_pass_both_ways_after_the_data(door: tuple[Balancer, Door], ca: Authority) -> None:
    lb, backend_door = door
    peer = secure(lb.connect(), ca.client())
    backend = backend_door.accept()
    backend.sendall(b"first")
    assert peer.recv(5) == b"first"
    raw = plain(peer)
    reset(backend)
    assert ended(raw) == "reset"
    raw.close()

    peer = secure(lb.connect(), ca.client())
    backend = backend_door.accept()
    peer.sendall(b"first")
    raw = plain(peer)
    assert backend.recv(5) == b"first"
    reset(raw)
    assert ended(backend) == "reset"
    backend.close()


def test_damaged_records_end_the_session_by_an_alert(echo: Balancer, ca: Authority) -> None:
    sock = echo.connect()
    talk = Talk(sock, ca.client())
    talk.send(b"x")
    assert talk.receive(1) == b"x"
    sock.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        talk.receive(1)


def test_what_is_not_tls_is_turned_away_with_an_alert(echo: Balancer) -> None:
    before = handshake_failures(echo)
    with echo.connect() as peer:
        peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert peer.recv(7)[:1] in (b"\x15", b"")
        assert peer.recv(100) == b""
    until(lambda: handshake_failures(echo) == before + 1, "it was counted")


def test_a_client_that_says_nothing_has_handshake_timeout(echo: Balancer) -> None:
    silent = [echo.connect() for _ in range(20)]
    half = echo.connect()
    half.sendall(b"\x16\x03\x01\x02\x00\x01")
    for peer in (*silent, half):
        assert ended(peer) == "reset"
        peer.close()
    assert ends(echo)["rejected:handshake_timeout"] >= 21


def test_a_version_or_cipher_that_is_not_allowed_is_refused(ca: Authority) -> None:
    tls = {
        "certificates": [ca.issue("localhost")],
        "min_version": "1.3",
        "ciphersuites": "TLS_AES_128_GCM_SHA256",
    }
    with Backends(1) as backends, Balancer.secured(backends.addresses, tls, workers=1) as lb:
        old = ca.client(maximum_version=ssl.TLSVersion.TLSv1_2)
        assert "VERSION" in fails(lb.connect(), old)
        with secure(lb.connect(), ca.client()) as peer:
            assert peer.version() == "TLSv1.3"
            assert peer.cipher()[0] == "TLS_AES_128_GCM_SHA256"  # type: ignore[index]
    tls = {"certificates": [ca.issue("localhost")], "ciphers": "ECDHE-ECDSA-CHACHA20-POLY1305"}
    with Backends(1) as backends, Balancer.secured(backends.addresses, tls, workers=1) as lb:
        old = ca.client(maximum_version=ssl.TLSVersion.TLSv1_2)
        with secure(lb.connect(), old) as peer:
            assert peer.cipher()[0] == "ECDHE-ECDSA-CHACHA20-POLY1305"  # type: ignore[index]
        weak = ca.client(maximum_version=ssl.TLSVersion.TLSv1_2, ciphers="ECDHE+AESGCM")
        assert "HANDSHAKE_FAILURE" in fails(lb.connect(), weak)


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl_is_served(ca: Authority) -> None:
    with (
        Door() as door,
        Balancer.secured([door.address], {"certificates": [ca.issue("localhost")]}) as lb,
    ):
        url = f"https://localhost:{lb.address[1]}/"
        asked = subprocess.Popen(
            ["curl", "-sS", "-4", "--http1.1", "--cacert", ca.path, url], stdout=subprocess.PIPE
        )
        with door.accept() as backend:
            assert b"GET / HTTP/1.1" in backend.recv(4096)
            backend.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello")
        assert asked.communicate(timeout=30)[0] == b"hello"
        assert asked.returncode == 0


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
def test_openssl_s_client_is_served(echo: Balancer, ca: Authority) -> None:
    host, port = echo.address
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"{host}:{port}", "-CAfile", ca.path, "-quiet",
         "-verify_return_error", "-servername", "localhost", "-ign_eof", "-no_ign_eof"],
        input=b"hello\n", capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
