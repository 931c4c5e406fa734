"""A host that has IPv4, IPv6 or both reaches a name that has addresses of both families."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest
from unit.discovery.nameserver import nameserver

from ..harness import Balancer
from ..harness.netns import Hosts, in_namespace, two_hosts
from .proxy import Tunnel, proxy

INSIDE = {"ipv4": "10.99.0.1", "ipv6": "fd99::1"}
OUTSIDE = {"ipv4": "10.99.0.9", "ipv6": "fd99::9"}
PORT = 443
NAME = "both.example"


def has_family(hosts: Hosts, family: str, address: str) -> None:
    """Gives the client's namespace, which is the outside here, an address."""
    there = ["ip", "-n", hosts.client]
    (link,) = [
        line.split()[1].split("@")[0]
        for line in subprocess.run(
            [*there, "-o", "link", "show", "type", "veth"],
            check=True, capture_output=True, text=True,
        ).stdout.splitlines()
    ]  # fmt: skip
    more = ["nodad"] if family == "ipv6" else []
    bits = "64" if family == "ipv6" else "24"
    subprocess.run(
        [*there, "addr", "add", f"{address}/{bits}", "dev", link.rstrip(":"), *more], check=True
    )


@contextlib.contextmanager
def greeting(hosts: Hosts, *families: str) -> Iterator[None]:
    """Runs a server outside at these addresses, which says at which of them it was asked."""
    with contextlib.ExitStack() as stack:
        for family in families:
            kind = socket.AF_INET6 if family == "ipv6" else socket.AF_INET
            with in_namespace(hosts.client):
                server = stack.enter_context(
                    socket.create_server((OUTSIDE[family], PORT), family=kind)
                )
            threading.Thread(target=greet, args=(server, family.encode()), daemon=True).start()
        yield


def greet(server: socket.socket, word: bytes) -> None:
    with contextlib.suppress(OSError):
        while True:
            with server.accept()[0] as client:
                client.sendall(word)


def asked(hosts: Hosts, lb: Balancer) -> bytes:
    with in_namespace(hosts.server), Tunnel(lb, f"{NAME}:{PORT}") as tunnel:
        assert tunnel.status == 200
        return tunnel.read(4)


@pytest.mark.parametrize(
    ("here", "served", "found"),
    [
        (["ipv4"], ["ipv4"], b"ipv4"),
        (["ipv6"], ["ipv6"], b"ipv6"),
        (["ipv4", "ipv6"], ["ipv4", "ipv6"], b"ipv6"),
        (["ipv4", "ipv6"], ["ipv4"], b"ipv4"),
    ],
    ids=["IPv4 only", "IPv6 only", "both", "both, IPv6 refused"],
)
def test_a_name_with_both_families_is_reached(
    here: list[str], served: list[str], found: bytes
) -> None:
    with two_hosts([INSIDE[one] for one in here], OUTSIDE[here[0]]) as hosts:
        for family in here[1:]:
            has_family(hosts, family, OUTSIDE[family])
        with contextlib.ExitStack() as stack:
            with hosts.inside():
                names = stack.enter_context(nameserver())
            names.zone |= {
                f"{NAME} A": [f"{NAME} 60 A {OUTSIDE['ipv4']}"],
                f"{NAME} AAAA": [f"{NAME} 60 AAAA {OUTSIDE['ipv6']}"],
            }
            lb = proxy(private="allow", inside=False, resolve={"servers": [names.server]})
            lb.command = [*hosts.prefix, *lb.command]
            try:
                with greeting(hosts, *served), lb:
                    assert asked(hosts, lb) == found
            finally:
                with hosts.inside():  # where the name server is ended
                    stack.close()
