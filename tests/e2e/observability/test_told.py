"""Facts that a client has sent on its way in are in the log and in `sessions`, wherever the session
moves."""

from __future__ import annotations

import json
import socket
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hellos import hello

from ..harness import Backends, Balancer, echo, read_line, until
from ..harness.secure import Authority, fails, secure

TLS_FACTS = ("sni", "tls", "cipher", "alpn", "via")


@pytest.fixture(scope="module")
def ca() -> Iterator[Authority]:
    with Authority() as authority:
        yield authority


def lines(path: Path, count: int) -> list[dict[str, Any]]:
    """Returns the log's lines, once there are this many."""

    def read() -> list[str]:
        return path.read_text().splitlines() if path.exists() else []

    until(lambda: len(read()) >= count, f"{count} lines are logged")
    return [json.loads(line) for line in read()]


def told(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in TLS_FACTS if row.get(key)}


def proxied(source: str) -> bytes:
    """Returns a PROXY header of version 2: a client at source, port 4711."""
    body = socket.inet_aton(source) + socket.inet_aton("192.0.2.1") + struct.pack(">HH", 4711, 443)
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", len(body)) + body


def test_the_log_and_sessions_tell_name_and_tls_where_tls_ends(
    ca: Authority, tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    tls = {
        "certificates": [ca.issue("localhost"), ca.issue("*.example.test", file="wild")],
        "alpn": ["h2", "http/1.1"],
        "strict_sni": True,
    }
    log = {"access": str(path), "access_format": "json"}
    with (
        Backends(1) as backends,
        Balancer.secured(
            backends.addresses,
            tls,
            listener={"proxy_protocol": "accept", "trusted": ["127.0.0.1"]},
            process={"log": log},
        ) as lb,
    ):
        version = {"maximum_version": ssl.TLSVersion.TLSv1_2}
        with secure(
            lb.connect(), ca.client(alpn=["http/1.1", "h2"], **version), "WWW.Example.test"
        ) as peer:
            assert peer.recv(1)
            want = {
                "sni": "www.example.test",
                "tls": "TLSv1.2",
                "cipher": peer.cipher()[0],  # type: ignore[index]
                "alpn": "h2",
            }
            (row,) = lb.ask("sessions")
            assert told(row) == want
        sock = lb.connect()
        via = "{}:{}".format(*sock.getsockname())
        sock.sendall(proxied("203.0.113.9"))
        with secure(sock, ca.client()) as peer:
            assert peer.recv(1)
            assert "203.0.113.9:4711" in {row["client"] for row in lb.ask("sessions")}
        assert fails(lb.connect(), ca.client(), "other.test")
        found = {row["sni"]: row for row in lines(path, 3)}
    assert told(found["www.example.test"]) == want
    proxy = found["localhost"]
    assert (proxy["tls"], proxy["client"], proxy["via"]) == ("TLSv1.3", "203.0.113.9:4711", via)
    assert "alpn" not in proxy
    assert told(found["other.test"]) == {"sni": "other.test"}
    assert found["other.test"]["end"] == "tls_handshake_failed"


def test_keys_and_routes_know_the_name_where_tls_ends(ca: Authority) -> None:
    tls = {
        "certificates": [ca.issue("localhost"), ca.issue("*.example.test", file="wild")],
        "alpn": ["h2", "http/1.1"],
    }
    names = [f"n{number}.example.test" for number in range(12)]
    with Backends(6) as backends:
        lb = Balancer.secured(backends.rows()[:3], tls, balance="maglev", hash_key="sni")
        assert lb.config is not None
        lb.config["pools"]["stuck"] = {"backends": backends.rows()[3:5], "sticky": {"key": "sni"}}
        lb.config["pools"]["h2"] = {"backends": backends.rows()[5:]}
        lb.config["listeners"]["web"]["routes"] = [
            {"alpn": "h2", "pool": "h2"},
            {"sni": "stuck.example.test", "pool": "stuck"},
        ]
        with lb:

            def served(name: str, **settings: Any) -> str:
                context = ca.client(check_hostname=False, **settings)
                with secure(lb.connect(), context, name) as peer:
                    return peer.recv(1).decode()

            by_name = {name: {served(name) for _ in range(3)} for name in names}
            assert all(len(found) == 1 for found in by_name.values())
            assert set().union(*by_name.values()) > {"a"}
            assert served(names[0].upper() + ".") in by_name[names[0]]
            sticky = {served("stuck.example.test") for _ in range(4)}
            assert len(sticky) == 1
            assert sticky < {"d", "e"}
            assert served(names[1], alpn=["h2"]) == "f"
            assert served(names[1], alpn=["http/1.1"]) in by_name[names[1]]


def test_what_was_told_goes_with_a_session_to_another_worker(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = {"access": str(path), "access_format": "json"}
    with Backends(1, mode="echo") as backends:
        lb = Balancer.before(backends.rows(), workers=2, process={"log": log})
        assert lb.config is not None
        lb.config["listeners"]["web"] |= {
            "proxy_protocol": "require",
            "trusted": ["127.0.0.1"],
            "routes": [{"sni": "*.example.com", "pool": "web"}],
        }
        with lb:
            first = hello("www.example.com", ("h2",))
            clients = []
            for number in range(8):
                client = lb.connect()
                client.sendall(proxied(f"203.0.113.{number}") + first)
                assert read_line(client)
                assert client.recv(len(first), socket.MSG_WAITALL) == first
                clients.append(client)
            before = {row["client"]: told(row) for row in lb.ask("sessions")}
            assert len(before) == 8
            assert all(row["sni"] == "www.example.com" for row in before.values())
            old = lb.pids()
            lb.admin("upgrade")
            until(lambda: set(lb.pids()).isdisjoint({*old, 0}), "other workers serve")
            until(
                lambda: {row["client"]: told(row) for row in lb.ask("sessions")} == before,
                "`sessions` of the new program tells the same",
            )
            for seed, client in enumerate(clients):
                echo(client, seed, 10_000)
                client.close()
            found = lines(path, 8)
    assert {row["client"]: told(row) for row in found} == before
