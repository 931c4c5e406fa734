"""Routes by server name, by the client's address, and by chance."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hellos import hello, padded, records

from ..harness import PORTS, Backends, Balancer, read_line, until


def config(backends: Backends, routes: list[dict[str, Any]], **listener: Any) -> dict[str, Any]:
    """Returns pools that are named after their one backend; the last one is the listener's
    default."""
    names = list(backends.ports)
    return {
        "process": {"workers": 2},
        "listeners": {
            "web": {
                "bind": [f"127.0.0.1:{PORTS.take()}"],
                "pool": names[-1],
                "routes": routes,
                **listener,
            }
        },
        "pools": {row["name"]: {"backends": [row]} for row in backends.rows()},
    }


ROUTES = [
    {"sni": "exact.example", "pool": "a"},
    {"sni": ["*.wild.example", "two.example"], "pool": "b"},
    {"alpn": "imap", "pool": "c"},
    {"sni": "both.example", "alpn": "h2", "pool": "d"},
]


@pytest.fixture(scope="module")
def routed() -> Iterator[Balancer]:
    with Backends(5) as backends, Balancer(config(backends, ROUTES)) as lb:
        yield lb


def reached(lb: Balancer, said: bytes, step: int = 0) -> str:
    """Returns the backend that a client with these first bytes reaches. The backend must get every
    byte."""
    with lb.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(said), step or len(said)):
            client.sendall(said[at : at + (step or len(said))])
        name = read_line(client)
        got = b""
        while len(got) < len(said):
            piece = client.recv(1 << 16)
            assert piece, "the echo ended early"
            got += piece
        assert got == said
        return name


@pytest.mark.parametrize(
    ("name", "protocols", "backend"),
    [
        ("exact.example", (), "a"),
        ("EXACT.example", ("h2",), "a"),
        ("under.wild.example", (), "b"),
        ("far.under.wild.example", (), "b"),
        ("wild.example", (), "e"),
        ("two.example", (), "b"),
        ("other.example", ("pop3", "imap"), "c"),
        (None, ("imap",), "c"),
        ("both.example", ("h2",), "d"),
        ("both.example", ("http/1.1",), "e"),
        (None, (), "e"),
    ],
)
def test_the_first_route_that_matches_serves(
    routed: Balancer, name: str | None, protocols: tuple[str, ...], backend: str
) -> None:
    assert reached(routed, hello(name, protocols)) == backend


def test_a_hello_may_come_byte_by_byte_in_small_records_or_be_64_kib_large(
    routed: Balancer,
) -> None:
    said = hello("two.example")
    assert reached(routed, said, step=1) == "b"
    assert reached(routed, records(said[5:], 7), step=3) == "b"
    large = padded(said, 65_536)
    assert reached(routed, large) == "b"
    assert reached(routed, large + b"early data" * 1000, step=1000) == "b"


def test_a_client_that_speaks_no_tls_goes_to_the_listeners_own_pool(routed: Balancer) -> None:
    assert reached(routed, b"GET / HTTP/1.0\r\n\r\n") == "e"
    with routed.connect() as client:
        client.sendall(hello("exact.example")[:50])
        client.shutdown(socket.SHUT_WR)
        assert read_line(client) == "e"


def test_who_says_nothing_in_time_is_refused_and_counted() -> None:
    with (
        Backends(2) as backends,
        Balancer(config(backends, [{"sni": "*", "pool": "a"}], handshake_timeout="300ms")) as lb,
        lb.connect() as silent,
        lb.connect() as slow,
    ):
        slow.sendall(hello("x.example")[:100])
        until(lambda: lb.status()["connections"] == 2, "both are being read")
        assert {row["state"] for row in lb.ask("sessions")} == {"preread"}
        for client in (silent, slow):
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        assert reached(lb, hello("x.example")) == "a"
        assert lb.ask("stats")["ended"]["rejected:handshake_timeout"] == 2
        until(lambda: lb.status()["connections"] == 0, "all places are given back")


def test_a_source_and_a_share_choose_without_a_word_of_the_client() -> None:
    routes = [
        {"source": "127.0.0.2", "pool": "a"},
        {"source": ["10.0.0.0/8", "127.0.1.0/24"], "pool": "b"},
        {"percent": 50, "pool": "c"},
    ]
    with Backends(4) as backends, Balancer(config(backends, routes)) as lb:

        def named(source: str) -> str:
            with socket.create_connection(lb.address, 20, (source, 0)) as client:
                return read_line(client)

        assert named("127.0.0.2") == "a"
        assert named("127.0.1.77") == "b"
        by_chance = [named("127.0.0.1") for _ in range(80)]
        assert set(by_chance) == {"c", "d"}  # only one of them by chance: once in 2^79 runs


def test_shares_add_up_and_a_route_of_several_networks_has_one() -> None:
    routes = [
        {"source": ["127.0.0.0/8", "127.0.0.0/16"], "percent": 40, "pool": "a"},
        {"source": "10.0.0.0/8", "percent": 60, "pool": "d"},
        {"percent": 40, "pool": "b"},
        {"percent": 20, "pool": "c"},
    ]
    with Backends(4) as backends, Balancer(config(backends, routes)) as lb:

        def named() -> str:
            with lb.connect() as client:
                return read_line(client)

        counts = Counter(named() for _ in range(500))
        assert set(counts) == {"a", "b", "c"}  # no client goes to the default pool
        for name, share in {"a": 200, "b": 200, "c": 100}.items():
            assert abs(counts[name] - share) < 66, counts  # six standard deviations
