"""TLS towards backends: verified, resumed, with a server name and a certificate; and backends that
do not fit."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ..harness import PORTS, Balancer, until
from ..harness.secure import Authority, secure


@pytest.fixture(scope="module")
def ca() -> Iterator[Authority]:
    with Authority() as authority:
        yield authority


class Server:
    """A TLS server that echoes, and records each handshake."""

    def __init__(self, row: dict[str, str], authority: Authority | None = None) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(row["cert"], row["key"])
        self.context.sni_callback = self._on_name
        if authority:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(authority.path)
        self.names: list[str | None] = []
        self.seen: list[dict[str, Any]] = []
        self.port = PORTS.take()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._thread = threading.Thread(target=self._serve)

    def _on_name(self, _: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> None:
        self.names.append(name)

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        PORTS.release(self.port)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(sock,), daemon=True).start()

    def _echo(self, sock: socket.socket) -> None:
        sock.settimeout(30)
        with contextlib.suppress(OSError), self.context.wrap_socket(sock, server_side=True) as peer:
            self.seen.append(
                {
                    "reused": peer.session_reused,
                    "client": peer.getpeercert(),
                    "alpn": peer.selected_alpn_protocol(),
                    "version": peer.version(),
                }
            )
            while data := peer.recv(65536):
                peer.sendall(data)


def exchange(peer: socket.socket, data: bytes = b"ping") -> bytes:
    """Returns the echo of data; b"" if the connection ends."""
    got = b""
    with contextlib.suppress(ConnectionError):
        peer.sendall(data)
        while len(got) < len(data) and (part := peer.recv(65536)):
            got += part
    return got


def test_a_backend_is_verified_by_name_and_sessions_are_resumed(ca: Authority) -> None:
    tls = {"ca": ca.path, "server_name": "app.example.test", "alpn": ["http/1.1"]}
    with Server(ca.issue("app.example.test")) as server:
        server.context.set_alpn_protocols(["http/1.1"])
        with Balancer.before([server.address], tls=tls, workers=1) as lb:
            for _ in range(5):
                with lb.connect() as client:
                    data = b"x" * 100_000
                    assert exchange(client, data) == data
            assert set(server.names) == {"app.example.test"}
            assert [one["reused"] for one in server.seen] == [False, True, True, True, True]
            assert {one["alpn"] for one in server.seen} == {"http/1.1"}
            counts = lb.ask("pools")[0]["tls"]
            assert (counts["full"], counts["resumed"], counts["failed"]) == (1, 4, 0)


@pytest.mark.parametrize("asked", [{}, {"server_name": "127.0.0.1"}])
def test_an_address_is_verified_when_there_is_no_name(ca: Authority, asked: dict[str, str]) -> None:
    with (
        Server(ca.issue("127.0.0.1", file="ip")) as server,
        Balancer.before([server.address], tls={"ca": ca.path, **asked}, workers=1) as lb,
    ):
        with lb.connect() as client:
            assert exchange(client) == b"ping"
        assert set(server.names) <= {None}


def test_a_backend_by_host_name_is_asked_for_that_name(ca: Authority) -> None:
    with (
        Server(ca.issue("localhost")) as server,
        Balancer.before([f"localhost:{server.port}"], tls={"ca": ca.path}, workers=1) as lb,
        lb.connect() as client,
    ):
        assert exchange(client) == b"ping"
        assert server.names == ["localhost"]


def test_a_backends_host_name_is_still_asked_for_after_a_reload_and_an_upgrade(
    ca: Authority,
) -> None:
    with (
        Server(ca.issue("localhost")) as server,
        Balancer.before([f"localhost:{server.port}"], tls={"ca": ca.path}, workers=1) as lb,
    ):
        lb.admin("add", "web", f"localhost:{server.port}", "--name", "again")
        for change in ("reload", "upgrade"):
            lb.admin(change)
            for _ in range(2):
                with lb.connect() as client:
                    assert exchange(client) == b"ping"
        assert set(server.names) == {"localhost"}


def test_a_backend_that_cannot_be_verified_is_not_reached_and_another_is_tried(
    ca: Authority,
) -> None:
    tls = {"ca": ca.path, "server_name": "app.example.test"}
    with (
        Authority() as stranger,
        Server(stranger.issue("app.example.test")) as foreign,
        Server(ca.issue("other.example.test")) as misnamed,
        Server(ca.issue("app.example.test", file="good")) as good,
    ):
        rows = [
            {"name": "foreign", "address": foreign.address},
            {"name": "misnamed", "address": misnamed.address},
            {"name": "good", "address": good.address},
        ]
        with Balancer.before(rows, tls=tls, workers=1) as lb:
            for _ in range(6):
                with lb.connect() as client:
                    assert exchange(client) == b"ping"
            counts = {name: row["connect_errors"] for name, row in lb.backends().items()}
            assert counts["foreign"] > 0
            assert counts["misnamed"] > 0
            assert counts["good"] == 0
            assert "certificate" in lb.ask("pools")[0]["tls"]["last_failure"]
        with (
            Balancer.before([foreign.address], tls={"verify": False}, workers=1) as lb,
            lb.connect() as client,
        ):
            assert exchange(client) == b"ping"


def test_a_certificate_is_shown_to_a_backend_that_asks(ca: Authority) -> None:
    mine = ca.issue("balancer.example.test")
    tls = {"ca": ca.path, "server_name": "app.example.test", **mine}
    with (
        Server(ca.issue("app.example.test"), ca) as server,
        Balancer.before([server.address], tls=tls, workers=1) as lb,
        lb.connect() as client,
    ):
        assert exchange(client) == b"ping"
        assert server.seen[0]["client"]["subjectAltName"] == (("DNS", "balancer.example.test"),)
        assert lb.ask("certs")[0]["of"] == "pools.web"


def test_checks_speak_tls_as_sessions_do_unless_they_say_otherwise(ca: Authority) -> None:
    tls = {"ca": ca.path, "server_name": "app.example.test", **ca.issue("lb.example.test")}
    health = {"type": "tls", "send": "ping", "expect": "ping", "interval": "100ms", "fall": 1}
    with Server(ca.issue("app.example.test"), ca) as server:
        with Balancer.before([server.address], tls=tls, health=health) as lb:
            until(lambda: lb.ask("backends")[0]["health"] == "up", "the backend is up")
            assert set(server.names) == {"app.example.test"}
            assert server.seen[0]["client"]["subjectAltName"] == (("DNS", "lb.example.test"),)
        wrong = health | {"sni": "other.example.test"}
        with Balancer.before([server.address], tls=tls, health=wrong) as lb:
            until(lambda: lb.ask("backends")[0]["health"] == "down", "the backend is down")
            assert "mismatch" in lb.ask("backends")[0]["last_check"]["text"]


def test_a_backend_that_does_not_answer_the_handshake_has_connect_timeout(ca: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with (
            Balancer.before(
                [address], tls={"ca": ca.path}, connect_timeout="300ms", retries=0, workers=1
            ) as lb,
            lb.connect() as client,
        ):
            assert exchange(client) == b""
            assert lb.ask("stats")["ended"]["connect_failed"] == 1


def test_tls_on_both_sides_carries_floods_and_ends(ca: Authority) -> None:
    tls = {"ca": ca.path, "server_name": "app.example.test"}
    with (
        Server(ca.issue("app.example.test")) as server,
        _both(ca, server, tls) as lb,
    ):
        with secure(lb.connect(), ca.client()) as peer:
            for size in (1, 20_000, 300_000):
                data = bytes(range(256)) * (size // 256 + 1)
                assert exchange(peer, data[:60_000]) == data[:60_000]
        until(lambda: lb.status()["connections"] == 0, "the session has ended")
        assert lb.ask("stats")["ended"]["client_fin"] == 1


def _both(ca: Authority, server: Server, tls: dict[str, Any]) -> Balancer:
    lb = Balancer.before([server.address], tls=tls, workers=1)
    assert lb.config is not None
    lb.config["listeners"]["web"]["tls"] = {"certificates": [ca.issue("localhost")]}
    return lb


def test_checks_ask_each_backend_for_the_name_that_sessions_ask_it_for(ca: Authority) -> None:
    """One backend is given by name, and serves only clients that ask for the name. The other is
    given by address; its certificate is verified, and no name is sent."""
    rows = ca.issue("localhost"), ca.issue("127.0.0.1", file="by-address")
    with Server(rows[0]) as named, Server(rows[1]) as plain:
        strict(named, "localhost")
        strict(plain, None)
        backends = [
            {"name": "named", "address": f"localhost:{named.port}"},
            {"name": "plain", "address": plain.address},
        ]
        health = {"type": "tls", "interval": "100ms", "timeout": "5s"}
        with Balancer.before(backends, tls={"ca": ca.path}, health=health) as lb:
            for name in ("named", "plain"):
                until(lambda name=name: lb.backends()[name]["health"] == "up", f"{name} is up")
            assert (set(named.names), set(plain.names)) == ({"localhost"}, {None})
            for _ in range(2):
                with lb.connect() as client:
                    assert exchange(client) == b"ping"
            assert (set(named.names), set(plain.names)) == ({"localhost"}, {None})


def strict(server: Server, due: str | None) -> None:
    """Makes the server refuse clients that do not ask for this name."""

    def on_name(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> int | None:
        server.names.append(name)
        return None if name == due else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    server.context.sni_callback = on_name
