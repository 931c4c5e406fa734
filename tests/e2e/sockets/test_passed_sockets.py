"""Sockets from a service manager (socket activation): listeners take them by name, and nothing is
bound."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ..harness import PORTS, Backends, Balancer, names, program, until
from ..harness.datagrams import UdpBackends, ask, clients

MANAGER = """#!{python}
import os, socket, sys
made = []
STREAM, DGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
for kind, port in ((STREAM, {tcp}), (DGRAM, {udp}), (STREAM, 0)):
    sock = socket.socket({family}, kind)
    if {family} == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # as systemd does
    sock.bind(("{host}", port))
    if kind == socket.SOCK_STREAM:
        sock.listen(64)
    made.append(os.dup(sock.fileno()))
    sock.close()
high = [os.dup2(fd, 100 + at) for at, fd in enumerate(made)]
for at, fd in enumerate(high):
    os.dup2(fd, 3 + at, inheritable=True)
    os.close(fd)
os.environ.update(LISTEN_FDS="3", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="web:dns:nobody")
os.execv("{real}", ["{real}", *sys.argv[1:]])
"""


def write_manager(to: Path, tcp: int, udp: int, host: str) -> None:
    """Writes the program that passes sockets on these ports of the host."""
    family = "socket.AF_INET6" if ":" in host else "socket.AF_INET"
    to.write_text(
        MANAGER.format(
            python=sys.executable, tcp=tcp, udp=udp, host=host, family=family, real=program()[0]
        )
    )
    to.chmod(0o755)


def test_tcp_and_udp_listeners_serve_on_the_sockets_that_were_passed(tmp_path: Path) -> None:
    tcp, udp = PORTS.take(), PORTS.take()
    manager = tmp_path / "manager"
    write_manager(manager, tcp, udp, "127.0.0.1")
    with Backends(2) as streams, UdpBackends(2, "name") as datagrams:
        config = {
            "process": {"workers": 2},
            "listeners": {
                "web": {"bind": [f"127.0.0.1:{tcp}"], "pool": "web"},
                "dns": {"bind": [f"127.0.0.1:{udp}"], "protocol": "udp", "pool": "dns"},
            },
            "pools": {
                "web": {"backends": streams.rows()},
                "dns": {"backends": datagrams.rows()},
            },
        }
        with Balancer(config, command=[str(manager)]) as lb:
            assert names(lb, 8) == {"a": 4, "b": 4}
            with clients(lb, 12, at=("127.0.0.1", udp)) as all_clients:
                first = [ask(client)[:1] for client in all_clients]
                assert set(first) == {b"a", b"b"}
                for _ in range(3):
                    assert [ask(client)[:1] for client in all_clients] == first
            assert "a passed socket belongs to no listener" in lb.log()


@contextmanager
def both_families(tmp_path: Path, **listener: Any) -> Iterator[tuple[Balancer, int, int]]:
    """Yields a balancer on passed sockets for IPv6 and IPv4, its TCP port and its UDP port."""
    tcp, udp = PORTS.take(), PORTS.take()
    write_manager(tmp_path / "manager", tcp, udp, "::")
    with Backends(1) as streams, UdpBackends(1) as datagrams:
        config: Mapping[str, Any] = {
            "process": {"workers": 1},
            "listeners": {
                "web": {"bind": [f"[::]:{tcp}"], "pool": "web", **listener},
                "dns": {"bind": [f"[::]:{udp}"], "protocol": "udp", "pool": "dns", **listener},
            },
            "pools": {
                "web": {"backends": streams.rows()},
                "dns": {"backends": datagrams.rows()},
            },
        }
        with Balancer(config, command=[str(tmp_path / "manager")]) as lb:
            yield lb, tcp, udp


def test_a_udp_client_of_both_families_socket_has_its_own_address(tmp_path: Path) -> None:
    with both_families(tmp_path) as (lb, _, udp):
        for host in ("127.0.0.1", "::1"):
            with clients(lb, 1, at=(host, udp)) as (one,):
                assert ask(one, b"hello") == b"hello"
                rows = [row["client"] for row in lb.ask("sessions")]
                own = one.getsockname()
                assert (f"[{host}]:{own[1]}" if ":" in host else f"{host}:{own[1]}") in rows


def test_rules_for_ipv4_hold_at_a_passed_socket_of_both_families(tmp_path: Path) -> None:
    with both_families(tmp_path, access={"deny": ["127.0.0.0/8"]}) as (lb, tcp, udp):
        with clients(lb, 1, at=("127.0.0.1", udp)) as (denied,):
            denied.send(b"?")
            until(lambda: dropped(lb).get("denied") == 1, "it is denied")
        with socket.create_connection(("127.0.0.1", tcp)) as stream, pytest.raises(OSError):
            stream.recv(1)
        with clients(lb, 1, at=("::1", udp)) as (one,):
            assert ask(one) == b"?"


def dropped(lb: Balancer) -> dict[str, int]:
    """Returns the datagrams that the UDP listener dropped, by reason."""
    (row,) = [row for row in lb.ask("listeners") if row["protocol"] == "udp"]
    return dict(row["dropped"])
