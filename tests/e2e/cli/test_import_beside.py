"""An imported configuration behaves as the original program with its own: both get equal clients
and backends."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hellos import hello

from ..harness import Backends, Door, until
from ..harness.beside import AWAY, Beside, who
from ..harness.datagrams import UdpBackends
from ..harness.load import read_line
from ..harness.secure import Authority

DEFAULTS = """
defaults
  mode tcp
  timeout connect 2s
  timeout client 30s
  timeout server 30s
"""


def haproxy(folder: Path, lines: str, *, status: int = 0, before: str = "") -> Beside:
    text = f"{before}{DEFAULTS}listen web\n  bind 127.0.0.1:PORT\n{lines}\n"
    return Beside("haproxy", folder, text, status=status)


def nginx(folder: Path, text: str, *, status: int = 0) -> Beside:
    return Beside("nginx", folder, text, status=status)


def shares(port: int, count: int = 40) -> Counter[str]:
    return Counter(who(port) for _ in range(count))


@contextlib.contextmanager
def secured(authority: Authority, name: str, says: str) -> Iterator[str]:
    """Yields the address of a backend that uses TLS and sends its name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    row = authority.issue(name)
    context.load_cert_chain(row["cert"], row["key"])

    def serve(door: Door) -> None:
        while True:
            try:
                plain, _ = door.listener.accept()
            except OSError:
                return
            with plain, contextlib.suppress(OSError):
                plain.settimeout(20)
                with context.wrap_socket(plain, server_side=True) as peer:
                    peer.sendall(says.encode() + b"\n")
                    peer.recv(1)

    with Door() as door:
        thread = threading.Thread(target=serve, args=(door,), daemon=True)
        thread.start()
        yield door.address
        door.listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=20)


# ---- HAProxy -------------------------------------------------------------------------------------


def test_haproxy_s_shares_by_weight_are_the_same(tmp_path: Path) -> None:
    with Backends(2) as backends:
        a, b = map(backends.address, "ab")
        lines = f"  server a {a} weight 3\n  server b {b} weight 1"
        with haproxy(tmp_path, lines) as both:
            assert both.see(shares) == {"a": 30, "b": 10}


def test_haproxy_s_access_rules_turn_the_same_clients_away(tmp_path: Path) -> None:
    rules = (
        "  tcp-request connection accept if { src 127.0.1.1 }\n"
        "  tcp-request connection reject if { src 127.0.1.0/24 } or { src 127.0.2.2 }\n"
    )
    with Backends(1) as backends:
        rules += f"  server a {backends.address('a')}"
        with haproxy(tmp_path, rules) as both:
            for source, found in (("127.0.0.1", "a"), ("127.0.1.1", "a"), ("127.0.1.2", AWAY),
                                  ("127.0.2.2", AWAY), ("127.0.2.3", "a")):  # fmt: skip
                assert both.see(lambda port, source=source: who(port, source=source)) == found


def test_haproxy_s_tls_ends_at_the_same_place(tmp_path: Path) -> None:
    with Backends(1) as backends, Authority() as authority:
        row = authority.issue("localhost")
        pem = tmp_path / "both.pem"
        pem.write_text(Path(row["cert"]).read_text() + Path(row["key"]).read_text())
        text = (
            f"{DEFAULTS}listen web\n  bind 127.0.0.1:PORT ssl crt {pem}\n"
            f"  server a {backends.address('a')}\n"
        )
        with Beside("haproxy", tmp_path, text) as both:
            trusts = authority.client()
            assert both.see(lambda port: who(port, tls=trusts)) == "a"
            assert both.see(lambda port: who(port, first=b"in clear\r\n\r\n")) == AWAY


def test_haproxy_s_tls_towards_servers_begins_at_the_same_place(tmp_path: Path) -> None:
    with Authority() as authority, Authority() as other:
        served = secured(authority, "db.example", "secret")
        with served as address:
            line = f"  server a {address} ssl verify required sni str(db.example) ca-file "
            with haproxy(tmp_path, line + authority.path) as both:
                assert both.see(who) == "secret"
            with haproxy(tmp_path, line + other.path) as both:
                assert both.see(who) == AWAY


def test_haproxy_s_server_names_lead_to_the_same_backends(tmp_path: Path) -> None:
    with Backends(3) as backends:
        a, b, c = map(backends.address, "abc")
        text = (
            f"{DEFAULTS}frontend web\n  bind 127.0.0.1:PORT\n  tcp-request inspect-delay 5s\n"
            "  tcp-request content accept if { req.ssl_hello_type 1 }\n"
            "  use_backend a if { req.ssl_sni -i a.example }\n"
            "  use_backend b if { req.ssl_sni -m end .b.example }\n  default_backend c\n"
            f"backend a\n  server a {a}\nbackend b\n  server b {b}\nbackend c\n  server c {c}\n"
        )
        with Beside("haproxy", tmp_path, text) as both:
            for name, found in (
                ("A.example", "a"),
                ("x.b.example", "b"),
                ("b.example", "c"),
                (None, "c"),
            ):
                said = hello(name)
                assert both.see(lambda port, said=said: who(port, first=said)) == found


@pytest.mark.parametrize(
    ("option", "start"),
    [
        ("send-proxy", b"PROXY TCP4 127.0.0.1 127.0.0.1 "),
        ("send-proxy-v2", b"\r\n\r\n\0\r\nQUIT\n!\x11"),
    ],
)
def test_haproxy_s_headers_tell_backends_the_same(
    tmp_path: Path, option: str, start: bytes
) -> None:
    with Door() as door, haproxy(tmp_path, f"  server a {door.address} {option}") as both:

        def header(port: int) -> bytes:
            with socket.create_connection(("127.0.0.1", port), 20) as client:
                ours = client.getsockname()[1]
                client.sendall(b"x")
                while True:  # the connection that waited for HAProxy's start may come first
                    with door.accept() as peer:
                        told = peer.recv(200)
                    if f" {ours} ".encode() in told or ours.to_bytes(2, "big") in told[16:]:
                        return told[: len(start)]

        assert both.see(header) == start


def test_haproxy_s_checks_take_the_same_server_out(tmp_path: Path) -> None:
    lines = "  option redispatch\n  default-server inter 100ms fall 2 rise 1\n"
    with Backends(2) as backends:
        a, b = map(backends.address, "ab")
        lines += f"  server a {a} check\n  server b {b} check backup"
        with haproxy(tmp_path, lines) as both:
            assert both.see(who) == "a"
            backends.stop("a")
            for port in (both.theirs, both.ours):
                until(lambda port=port: who(port) == "b", "the backup serves")
            assert both.see(shares) == {"b": 40}
            backends.start("a")
            for port in (both.theirs, both.ours):
                until(lambda port=port: who(port) == "a", "it serves again")


def test_haproxy_s_clients_over_maxconn_wait_and_are_served(tmp_path: Path) -> None:
    with Backends(1, mode="brief", hold_ms=100) as backends:
        line = f"  timeout queue 20s\n  server a {backends.address('a')} maxconn 2"
        with haproxy(tmp_path, line) as both:

            def crowd(port: int) -> list[str]:
                found: list[str] = []
                clients = [
                    threading.Thread(target=lambda: found.append(who(port))) for _ in range(10)
                ]
                for one in clients:
                    one.start()
                for one in clients:
                    one.join(timeout=30)
                return found

            assert both.see(crowd) == ["a"] * 10


def test_haproxy_s_frontend_without_a_backend_refuses_the_same_clients(tmp_path: Path) -> None:
    with Backends(1) as backends:
        text = (
            f"{DEFAULTS}frontend web\n  bind 127.0.0.1:PORT\n  tcp-request inspect-delay 5s\n"
            "  tcp-request content accept if { req.ssl_hello_type 1 }\n"
            "  use_backend a if { req.ssl_sni -i a.example }\n"
            f"backend a\n  server a {backends.address('a')}\n"
        )
        with Beside("haproxy", tmp_path, text) as both:
            assert both.see(lambda port: who(port, first=hello("a.example"))) == "a"
            assert both.see(lambda port: who(port, first=hello("b.example"))) == AWAY


# ---- nginx ---------------------------------------------------------------------------------------


def test_nginx_s_shares_by_weight_are_the_same(tmp_path: Path) -> None:
    with Backends(2) as backends:
        a, b = map(backends.address, "ab")
        text = (
            f"upstream u {{ server {a} weight=3; server {b}; }}\n"
            "server { listen 127.0.0.1:PORT; proxy_pass u; }"
        )
        with nginx(tmp_path, text) as both:
            assert both.see(shares) == {"a": 30, "b": 10}


def test_nginx_s_access_rules_turn_the_same_clients_away(tmp_path: Path) -> None:
    rules = "deny 127.0.1.2; allow 127.0.1.0/24; allow 127.0.0.1; deny all;"
    with Backends(1) as backends:
        text = f"server {{ listen 127.0.0.1:PORT; {rules} proxy_pass {backends.address('a')}; }}"
        with nginx(tmp_path, text) as both:
            for source, found in (("127.0.0.1", "a"), ("127.0.1.1", "a"), ("127.0.1.2", AWAY),
                                  ("127.0.2.2", AWAY)):  # fmt: skip
                assert both.see(lambda port, source=source: who(port, source=source)) == found


def test_nginx_s_failed_servers_are_left_alone_and_the_backup_serves(tmp_path: Path) -> None:
    with Backends(3) as backends:
        a, b, c = map(backends.address, "abc")
        text = (
            f"upstream u {{ server {a}; server {b}; server {c} backup; }}\n"
            "server { listen 127.0.0.1:PORT; proxy_pass u; }"
        )
        with nginx(tmp_path, text) as both:
            backends.stop("a")
            assert both.see(lambda port: set(shares(port))) == {"b"}
            backends.stop("b")
            assert both.see(lambda port: set(shares(port))) == {"c"}


def test_nginx_s_next_upstream_off_fails_the_same_clients(tmp_path: Path) -> None:
    with Backends(2) as backends:
        a, b = map(backends.address, "ab")
        text = (
            f"upstream u {{ server {a} max_fails=0; server {b} max_fails=0; }}\n"
            "server { listen 127.0.0.1:PORT; proxy_pass u; proxy_next_upstream off; }"
        )
        with nginx(tmp_path, text) as both:
            backends.stop("a")
            assert both.see(shares) == {"b": 20, AWAY: 20}


def test_nginx_s_tls_ends_at_the_same_place_and_asks_for_the_same_clients(tmp_path: Path) -> None:
    with Backends(1) as backends, Authority() as authority:
        row = authority.issue("localhost")
        text = (
            f"server {{ listen 127.0.0.1:PORT ssl; proxy_pass {backends.address('a')};\n"
            f"ssl_certificate {row['cert']}; ssl_certificate_key {row['key']};\n"
            f"ssl_client_certificate {authority.path}; ssl_verify_client on; }}"
        )
        with nginx(tmp_path, text) as both:
            known = authority.client(cert=authority.issue("client"))
            assert both.see(lambda port: who(port, tls=known)) == "a"
            assert both.see(lambda port: who(port, tls=authority.client())) == AWAY
            assert both.see(lambda port: who(port, first=b"in clear\r\n\r\n")) == AWAY


def test_nginx_s_tls_towards_servers_begins_at_the_same_place(tmp_path: Path) -> None:
    with Authority() as authority, secured(authority, "db.example", "secret") as address:
        text = (
            f"server {{ listen 127.0.0.1:PORT; proxy_pass {address}; proxy_ssl on;\n"
            f"proxy_ssl_verify on; proxy_ssl_trusted_certificate {authority.path};\n"
            "proxy_ssl_server_name on;\n"
            "proxy_ssl_name NAME; }"
        )
        with nginx(tmp_path, text.replace("NAME", "db.example")) as both:
            assert both.see(who) == "secret"
        with nginx(tmp_path, text.replace("NAME", "other.example")) as both:
            assert both.see(who) == AWAY


def test_nginx_s_server_names_lead_to_the_same_backends(tmp_path: Path) -> None:
    with Backends(3) as backends:
        a, b, c = map(backends.address, "abc")
        text = (
            "map $ssl_preread_server_name $to {\n"
            "hostnames; a.example A; .b.example B; default C; }\n"
            "server { listen 127.0.0.1:PORT; ssl_preread on; proxy_pass $to; }"
        )
        text = text.replace("A;", f"{a};").replace("B;", f"{b};").replace("C;", f"{c};")
        with nginx(tmp_path, text) as both:
            for name, found in (("A.example", "a"), ("x.b.example", "b"), ("b.example", "b"),
                                ("c.example", "c"), (None, "c")):  # fmt: skip
                said = hello(name)
                assert both.see(lambda port, said=said: who(port, first=said)) == found


def test_nginx_s_headers_tell_backends_the_same(tmp_path: Path) -> None:
    with Door() as door:
        text = f"server {{ listen 127.0.0.1:PORT; proxy_pass {door.address}; proxy_protocol on; }}"
        with nginx(tmp_path, text) as both:

            def told(port: int) -> str:
                with socket.create_connection(("127.0.0.1", port), 20) as client:
                    ours = client.getsockname()[1]
                    client.sendall(b"x\n")
                    while True:  # the connection that waited for nginx's start may come first
                        with door.accept() as peer:
                            line = read_line(peer)
                        if f" {ours} " in line:
                            return line.replace(f"{ours} {port}", "PORTS")

            assert both.see(told) == "PROXY TCP4 127.0.0.1 127.0.0.1 PORTS\r"


def test_nginx_s_limit_of_connections_turns_the_same_clients_away(tmp_path: Path) -> None:
    with Backends(1) as backends:
        text = (
            "limit_conn_zone $binary_remote_addr zone=z:1m;\nserver { listen 127.0.0.1:PORT; "
            f"limit_conn z 1; proxy_pass {backends.address('a')}; }}"
        )
        with nginx(tmp_path, text) as both:

            def second(port: int) -> tuple[str, str]:
                with socket.create_connection(("127.0.0.1", port), 20) as first:
                    read_line(first)
                    return who(port), who(port, source="127.0.0.2")

            assert both.see(second) == (AWAY, "a")


def test_nginx_s_datagrams_are_answered_alike(tmp_path: Path) -> None:
    with UdpBackends(2, mode="name") as backends, Backends(1) as streams:
        a, b = (f"127.0.0.1:{backends.ports[name]}" for name in "ab")
        text = (
            f"upstream u {{ server {a}; server {b}; }}\n"
            "server { listen 127.0.0.1:PORT udp; proxy_pass u; proxy_responses 1; }\n"
            f"server {{ listen 127.0.0.1:PORT; proxy_pass {streams.address('a')}; }}"
        )
        with nginx(tmp_path, text) as both:

            def asked(port: int) -> set[bytes]:
                found: set[bytes] = set()
                for _ in range(10):
                    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                        client.settimeout(20)
                        client.sendto(b"?", ("127.0.0.1", port))
                        found.add(client.recv(100)[:1])
                return found

            assert both.see(asked) == {b"a", b"b"}
