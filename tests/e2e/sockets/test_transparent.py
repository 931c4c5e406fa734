"""Transparent proxying: backends see the client's own address, and clients use addresses that are
not this host's. The recipes of docs/transparent.md run in network namespaces."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..harness import PATIENCE_S, one_pool, until
from ..harness.netns import Route, in_namespace, routed
from ..reload.test_reload import Service

PORT, FRONT = 9000, 8080


@pytest.fixture
def route() -> Iterator[Route]:
    with routed() as one:
        # docs/transparent.md: packets from the backends are delivered to this host, whatever their
        # target.
        for family in ("-4", "-6"):
            for protocol in ("tcp", "udp"):
                one.run("ip", family, "rule", "add", "iif", "back", "ipproto", protocol,
                        "sport", str(PORT), "lookup", "100")  # fmt: skip
            one.run("ip", family, "route", "add", "local", "default", "dev", "lo", "table", "100")
        yield one


def balancer(route: Route, bind: str, backend: str, **more: Any) -> Service:
    listener = more.pop("listener", {})
    process = more.pop("process", {})
    config = one_pool(bind, [backend], process={"workers": 2, **process}, **more)
    config["listeners"]["web"] |= listener
    lb = Service(config)
    lb.command = [*route.prefix, *lb.command]
    return lb


@contextlib.contextmanager
def serving(route: Route, host: str) -> Iterator[socket.socket]:
    """Yields a backend in the test itself."""
    with in_namespace(route.backend):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        server = socket.create_server((host, PORT), family=family)
    server.settimeout(PATIENCE_S)
    with server:
        yield server


def connect(route: Route, host: str, port: int) -> socket.socket:
    """Returns a client's connection."""
    with in_namespace(route.client):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        client = socket.socket(family)
    client.settimeout(PATIENCE_S)
    client.connect((host, port))
    return client


def peer_of_one_session(route: Route, server: socket.socket, host: str, port: int) -> str:
    """Returns the client's address as the backend sees it, while bytes go both ways."""
    with connect(route, host, port) as client:
        one, peer = server.accept()
        with one:
            one.settimeout(PATIENCE_S)
            client.sendall(b"ping")
            assert one.recv(10) == b"ping"
            one.sendall(b"pong")
            assert client.recv(10) == b"pong"
            assert client.getpeername()[:2] == (host, port)
    return str(peer[0])


@pytest.mark.parametrize(("net", "any_host"), [("10.{}.0.{}", "0.0.0.0"), ("fd0{}::{}", "[::]")])
def test_backends_see_the_clients_own_address(route: Route, net: str, any_host: str) -> None:
    front, backend = net.format(1, 1), net.format(2, 2)
    at = f"[{backend}]:{PORT}" if ":" in backend else f"{backend}:{PORT}"
    with (
        serving(route, backend) as server,
        balancer(route, f"{any_host}:{FRONT}", at, transparent=True) as lb,
    ):
        for _ in range(4):
            assert peer_of_one_session(route, server, front, FRONT) == net.format(1, 2)
        assert lb.backends()[at]["connect_errors"] == 0


def test_a_client_of_another_family_comes_from_the_pools_source(route: Route) -> None:
    at = f"10.2.0.2:{PORT}"
    with (
        serving(route, "10.2.0.2") as server,
        balancer(route, f"[::]:{FRONT}", at, transparent=True, source="10.2.0.1"),
    ):
        assert peer_of_one_session(route, server, "fd01::1", FRONT) == "10.2.0.1"


def test_the_right_to_it_is_kept_by_a_service_that_becomes_a_user(route: Route) -> None:
    at = f"10.2.0.2:{PORT}"
    own = {"user": "nobody"}
    with (
        serving(route, "10.2.0.2") as server,
        balancer(route, f"0.0.0.0:{FRONT}", at, transparent=True, process=own) as lb,
    ):
        for _ in range(4):
            assert peer_of_one_session(route, server, "10.1.0.1", FRONT) == "10.1.0.2"
        rights = {
            name: int(line.split()[1], 16)
            for row in lb.ask("workers")
            for line in Path(f"/proc/{row['pid']}/status").read_text().splitlines()
            for name in ["CapEff", "CapAmb"]
            if line.startswith(name)
        }
        assert rights == {"CapEff": 1 << 13, "CapAmb": 0}, "CAP_NET_RAW and nothing else"


def test_without_the_right_a_reload_that_asks_for_it_is_refused_and_says_why(
    route: Route,
) -> None:
    at = f"10.2.0.2:{PORT}"
    own = {"user": "nobody"}
    with (
        serving(route, "10.2.0.2") as server,
        balancer(route, f"0.0.0.0:{FRONT}", at, process=own) as lb,
    ):
        assert lb.config is not None
        lb.config["pools"]["web"]["transparent"] = True
        lb.write(lb.config)
        status, why = lb.refused("reload")
        assert status == 1
        assert "pools.web: cannot set transparent: Operation not permitted" in why
        assert peer_of_one_session(route, server, "10.1.0.1", FRONT) == "10.2.0.1"


def test_udp_backends_see_the_clients_own_address_too(route: Route) -> None:
    with in_namespace(route.backend):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with in_namespace(route.client):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with server, client:
        server.bind(("10.2.0.2", PORT))
        for one in (server, client):
            one.settimeout(PATIENCE_S)
        udp = {"protocol": "udp"}
        bind, at = f"10.1.0.1:{FRONT}", f"10.2.0.2:{PORT}"
        with balancer(route, bind, at, transparent=True, listener=udp):
            client.sendto(b"ping", ("10.1.0.1", FRONT))
            data, peer = server.recvfrom(100)
            assert (data, peer[0]) == (b"ping", "10.1.0.2")
            server.sendto(b"pong", peer)
            assert client.recvfrom(100) == (b"pong", ("10.1.0.1", FRONT))


def test_clients_of_the_backends_address_are_served_on_the_way(route: Route) -> None:
    """Both sides are transparent: neither sees that l4lb is between them."""
    route.run("ip", "rule", "add", "iif", "front", "ipproto", "tcp", "dport", str(PORT),
              "lookup", "100")  # fmt: skip
    with (
        serving(route, "10.2.0.2") as server,
        balancer(
            route, f"0.0.0.0:{PORT}", f"10.2.0.2:{PORT}",
            listener={"transparent": True}, transparent=True,
        ) as lb,
    ):  # fmt: skip
        assert peer_of_one_session(route, server, "10.2.0.2", PORT) == "10.1.0.2"
        until(lambda: lb.backends()[f"10.2.0.2:{PORT}"]["total"] == 1, "the session is counted")


def test_tproxy_sends_clients_to_another_port(route: Route) -> None:
    rules = f"""
        table ip divert {{
            chain prerouting {{
                type filter hook prerouting priority mangle
                iifname "front" tcp dport {PORT} tproxy to :{FRONT} meta mark set 1 accept
            }}
        }}
    """
    try:
        route.run("nft", "-f", "-", text=rules)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no TPROXY in this kernel's nftables: {getattr(error, 'stderr', error)}")
    route.run("ip", "rule", "add", "fwmark", "1", "lookup", "100")
    with (
        serving(route, "10.2.0.2") as server,
        balancer(route, f"0.0.0.0:{FRONT}", f"10.2.0.2:{PORT}", listener={"transparent": True}),
    ):
        assert peer_of_one_session(route, server, "10.2.0.2", PORT) == "10.2.0.1"
