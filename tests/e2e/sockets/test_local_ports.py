"""A host without a free local port towards a backend: clients wait, and the backend is not
blamed."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from ..harness import PATIENCE_S, Backends, Balancer, one_pool, program, read_line, until
from ..harness.datagrams import UdpBackends, ask
from ..harness.netns import Hosts, in_namespace, two_hosts

SERVER, CLIENT = "10.77.0.1", "10.77.0.2"
PORT = 8080


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    """A server with two local ports, and a client."""
    with two_hosts([SERVER], CLIENT) as made:
        with made.inside(), open("/proc/sys/net/ipv4/ip_local_port_range", "w") as ports:
            ports.write("50000 50001")
        yield made


@contextlib.contextmanager
def balancer(hosts: Hosts, connect_timeout: str) -> Iterator[Balancer]:
    with contextlib.ExitStack() as stack:
        with hosts.inside():
            backends = stack.enter_context(Backends(1))
        config = one_pool(
            f"{SERVER}:{PORT}",
            backends.rows(),
            process={"workers": 1},
            connect_timeout=connect_timeout,
            passive={"failures": 1},
        )
        with Balancer(config, command=[*hosts.prefix, *program()]) as lb:
            yield lb


def connect(hosts: Hosts) -> socket.socket:
    with in_namespace(hosts.client):
        return socket.create_connection((SERVER, PORT), timeout=PATIENCE_S)


def backend(lb: Balancer) -> dict[str, object]:
    (row,) = lb.ask("backends")
    return {key: row[key] for key in ("connect_errors", "health", "active")}


def test_a_client_waits_for_a_local_port_and_is_then_served(hosts: Hosts) -> None:
    with balancer(hosts, "10s") as lb, contextlib.ExitStack() as stack:
        first, second = (stack.enter_context(connect(hosts)) for _ in range(2))
        for client in (first, second):
            read_line(client)
        third = stack.enter_context(connect(hosts))
        until(lambda: "pick" in {row["state"] for row in lb.ask("sessions")}, "it waits")
        first.close()
        assert read_line(third)
        assert backend(lb)["connect_errors"] == 0


def test_who_waits_too_long_for_a_local_port_ends_and_its_backend_is_not_blamed(
    hosts: Hosts,
) -> None:
    with balancer(hosts, "300ms") as lb, contextlib.ExitStack() as stack:
        for _ in range(2):
            read_line(stack.enter_context(connect(hosts)))
        third = stack.enter_context(connect(hosts))
        with pytest.raises(ConnectionResetError):
            third.recv(1)
        row = backend(lb)
        assert row["connect_errors"] == 0
        assert lb.ask("backends")[0]["active"] == 2


def test_connects_without_a_local_port_are_counted_and_told_once(hosts: Hosts) -> None:
    with balancer(hosts, "300ms") as lb, contextlib.ExitStack() as stack:
        for _ in range(2):
            read_line(stack.enter_context(connect(hosts)))
        for _ in range(2):
            with pytest.raises(ConnectionResetError):
                stack.enter_context(connect(hosts)).recv(1)
        assert lb.ask("stats")["no_local_port"] >= 2
        assert lb.log().count("no free local port") == 1
        assert "ip_local_port_range" in lb.log()


def test_a_udp_session_without_a_local_port_evicts_no_other_and_blames_no_backend(
    hosts: Hosts,
) -> None:
    with contextlib.ExitStack() as stack:
        with hosts.inside():
            backends = stack.enter_context(UdpBackends(1))
        config = one_pool(f"{SERVER}:{PORT}", backends.rows(), process={"workers": 1},
                          passive={"failures": 1})  # fmt: skip
        config["listeners"]["web"] |= {"protocol": "udp"}
        lb = stack.enter_context(Balancer(config, command=[*hosts.prefix, *program()]))
        clients = []
        for _ in range(3):
            client = stack.enter_context(hosts.client_socket(SERVER))
            client.settimeout(PATIENCE_S)
            client.connect((SERVER, PORT))
            clients.append(client)
        first, second, third = clients
        assert ask(first) == ask(second) == b"?"
        third.send(b"?")
        until(lambda: lb.ask("listeners")[0]["dropped"].get("no_local_port") == 1, "it is told")
        (row,) = lb.ask("listeners")
        assert row["evicted"] == 0
        assert ask(first) == ask(second) == b"?"
        assert backend(lb)["connect_errors"] == 0
        assert backend(lb)["active"] == 2
        assert lb.ask("stats")["no_local_port"] >= 1
