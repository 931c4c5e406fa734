"""A firewall behind a router that prohibits a UDP backend's port: IPv4 and IPv6 alike."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator

import pytest

from ..harness import PATIENCE_S, Balancer, one_pool, program, until
from ..harness.datagrams import UdpBackends
from ..harness.netns import Route, in_namespace, routed

PORT = 8053
REJECTS = {"ip": "icmp type", "ip6": "icmpv6 type"}
NAMES = {"ip": "ipv4", "ip6": "ipv6"}


@pytest.fixture
def route() -> Iterator[Route]:
    with routed() as made:
        yield made


def prohibit(route: Route, family: str, port: int) -> None:
    """Makes the backend's host reject datagrams to this port, as a firewall's rule does."""
    rules = f"""
table inet prohibit {{
    chain input {{
        type filter hook input priority 0;
        meta nfproto {NAMES[family]} udp dport {port} reject with {REJECTS[family]} admin-prohibited
    }}
}}
"""
    command = ["ip", "netns", "exec", route.backend, "nft", "-f", "-"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, input=rules, timeout=20)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no nftables here: {getattr(error, 'stderr', error)}")


@pytest.mark.parametrize(("family", "net"), [("ip", "10.{}.0.{}"), ("ip6", "fd0{}::{}")])
def test_a_backend_that_is_administratively_prohibited_is_left_and_ejected(
    route: Route, family: str, net: str
) -> None:
    backends = UdpBackends(2, "name", host=net.format(2, 2))
    front = net.format(1, 1)
    with in_namespace(route.backend):
        backends.__enter__()
    try:
        config = one_pool(
            f"[{front}]:{PORT}" if family == "ip6" else f"{front}:{PORT}",
            backends.rows(),
            process={"workers": 1},
            balance="first",
            passive={"failures": 1, "eject": "1h", "max_eject": "1h"},
        )
        config["listeners"]["web"] |= {"protocol": "udp"}
        prohibit(route, family, backends.ports["a"])
        with Balancer(config, command=[*route.prefix, *program()]) as lb:
            with in_namespace(route.client):
                kind = socket.AF_INET6 if family == "ip6" else socket.AF_INET
                client = socket.socket(kind, socket.SOCK_DGRAM)
            with client:
                client.settimeout(0.3)
                client.connect((front, PORT))

                def answer() -> bytes:
                    client.send(b"?")
                    try:
                        return client.recv(100)
                    except TimeoutError:
                        return b""

                until(lambda: answer() == b"b?", "it is served by b", timeout_s=PATIENCE_S)
            row = lb.backends()["a"]
            assert row["health"] == "ejected"
            assert row["passive"]["error"] == "No route to host"
            assert row["connect_errors"] >= 1
            assert lb.ask("listeners")[0]["moved"] == 1
    finally:
        backends.__exit__(None, None, None)
