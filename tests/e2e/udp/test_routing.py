"""Routing of datagrams that does not depend on the client's address alone."""

from __future__ import annotations

import os
import socket
from collections import Counter
from typing import Any

import pytest

from ..harness import PORTS, Backends, Balancer, until
from ..harness.datagrams import UdpBackends, ask, clients, udp_balancer
from ..observability.test_metrics import metrics


def dropped(lb: Balancer) -> dict[str, int]:
    """Returns the datagrams that were dropped, by reason."""
    found: dict[str, int] = lb.ask("listeners")[0]["dropped"]
    return found


def test_each_datagram_can_choose_its_backend() -> None:
    with (
        UdpBackends(3, "name") as backends,
        udp_balancer(backends.rows(), per_datagram=True, workers=1) as lb,
        clients(lb, 2) as (one, other),
    ):
        for client in (one, other):
            assert Counter(ask(client) for _ in range(30)) == {b"a?": 10, b"b?": 10, b"c?": 10}
        assert len(lb.ask("sessions")) == 6, "a session at each backend it meets"
        assert [row["active"] for row in lb.ask("backends")] == [2, 2, 2]
        assert {len(peers) for peers in backends.peers.values()} == {2}


def test_a_burst_is_balanced_datagram_by_datagram_too() -> None:
    with (
        UdpBackends(2, "name") as backends,
        udp_balancer(backends.rows(), per_datagram=True, workers=1) as lb,
        clients(lb) as (client,),
    ):
        client.setsockopt(socket.IPPROTO_UDP, 103, 20)  # UDP_SEGMENT: ten datagrams of 20 bytes
        client.send(b"x" * 200)
        assert Counter(client.recv(100)[:1] for _ in range(10)) == {b"a": 5, b"b": 5}


def quic_long(connection_id: bytes, payload: bytes = b"") -> bytes:
    """Returns the beginning of a QUIC packet with a long header."""
    return b"\xc3\x00\x00\x00\x01" + bytes([len(connection_id)]) + connection_id + b"\0" + payload


def quic_short(connection_id: bytes, payload: bytes = b"") -> bytes:
    """Returns the beginning of a QUIC packet with a short header."""
    return b"\x40" + connection_id + payload


def connection_id(server: int, config: int = 2) -> bytes:
    """Returns an id that a backend has chosen: server ids have two bytes."""
    return bytes([config << 5 | os.urandom(1)[0] & 0x1F]) + server.to_bytes(2, "big") + b"nonce"


def quic_balancer(backends: UdpBackends, **more: Any) -> Balancer:
    """A balancer with the backends a (server id 0x0100), b (0x0101) ..."""
    rows = [row | {"server_id": f"01{i:02x}"} for i, row in enumerate(backends.rows())]
    return udp_balancer(
        rows, hash_key="quic_cid", quic={"config_id": 2, "server_id_length": 2}, **more
    )


def test_a_quic_connection_keeps_its_backend_whatever_its_clients_address() -> None:
    with (
        UdpBackends(3, "name") as backends,
        quic_balancer(backends) as lb,
        clients(lb, 30) as all_clients,
    ):
        for number, client in enumerate(all_clients):
            first = ask(client, quic_long(b"\xff" + os.urandom(7), b"hello"))[:1]
            server = first[0] - ord("a")
            mine = connection_id(0x0100 + server)
            assert ask(client, quic_short(mine))[:1] == first, "the session it has"
            moved = all_clients[(number + 11) % 30]  # the client goes on from another address
            assert ask(moved, quic_short(mine, b"data"))[:1] == first
            assert ask(moved, quic_long(mine, b"data"))[:1] == first


def test_two_quic_connections_of_one_socket_can_have_two_backends() -> None:
    with (
        UdpBackends(2, "name") as backends,
        quic_balancer(backends) as lb,
        clients(lb) as (client,),
    ):
        for _ in range(3):
            assert ask(client, quic_short(connection_id(0x0100)))[:1] == b"a"
            assert ask(client, quic_short(connection_id(0x0101)))[:1] == b"b"
        assert len(lb.ask("sessions")) == 2


def test_connection_ids_that_name_nobody_go_by_address() -> None:
    packets = [
        quic_short(connection_id(0x0900)),
        quic_short(connection_id(0x0100, config=7)),
        quic_short(connection_id(0x0101, config=1)),
        quic_long(b""),
        b"\xc3\x00\x00\x00\x01\xff",
        b"\x40",
        b"",
    ]
    with (
        UdpBackends(2, "name") as backends,
        quic_balancer(backends) as lb,
        clients(lb) as (client,),
    ):
        assert len({ask(client, packet)[:1] for packet in packets}) == 1
        assert len(lb.ask("sessions")) == 1


def test_a_quic_connection_whose_backend_is_in_maintenance_goes_by_address() -> None:
    with (
        UdpBackends(2, "name") as backends,
        quic_balancer(backends) as lb,
        clients(lb) as (client,),
    ):
        lb.admin("maint", "web/a")
        assert ask(client, quic_short(connection_id(0x0100)))[:1] == b"b"


def test_a_run_of_quic_packets_is_routed_packet_by_packet_where_it_must() -> None:
    ours = [quic_short(connection_id(0x0100 + i % 2), bytes([i])) for i in range(10)]
    with (
        UdpBackends(2, "name") as backends,
        quic_balancer(backends, workers=1) as lb,
        clients(lb) as (client,),
    ):
        client.setsockopt(socket.IPPROTO_UDP, 103, len(ours[0]))  # UDP_SEGMENT
        client.send(b"".join(ours))
        got = {client.recv(100) for _ in ours}
        assert got == {bytes([ord("a") + i % 2]) + packet for i, packet in enumerate(ours)}


def test_networks_that_are_denied_are_not_served() -> None:
    rules = {"access": {"deny": ["127.0.0.2/32"]}}
    with (
        UdpBackends() as backends,
        udp_balancer(
            backends.rows(), listener=rules, process={"http": f"127.0.0.1:{PORTS.take()}"}
        ) as lb,
        clients(lb) as (friend,),
        clients(lb, source="127.0.0.2") as (stranger,),
    ):
        stranger.send(b"x")
        until(lambda: dropped(lb) == {"denied": 1}, "the stranger is not served")
        assert ask(friend, b"x") == b"x"
        assert metrics(lb)['l4lb_rejected_total{listener="web",reason="denied"}'] == 1
        lb.admin("allow", "web", "127.0.0.2")
        lb.admin("deny", "web", "127.0.0.1")
        assert ask(stranger, b"y") == b"y", "let in by an operator"
        with clients(lb) as (late,):
            late.send(b"x")
            until(lambda: dropped(lb) == {"denied": 2}, "a new client is not served")
        assert ask(friend, b"z") == b"z", "a session goes on"


def test_routes_choose_the_pool_by_source() -> None:
    with UdpBackends(2, "name") as backends:
        one, other = backends.rows()
        routes = {"routes": [{"source": "127.0.0.2/32", "pool": "other"}]}
        lb = udp_balancer([one], listener=routes)
        assert lb.config is not None
        lb.config["pools"]["other"] = {"backends": [other]}
        with lb, clients(lb) as (near,), clients(lb, source="127.0.0.2") as (far,):
            assert (ask(near), ask(far)) == (b"a?", b"b?")


def test_sessions_of_a_backend_that_goes_down_move_to_the_others() -> None:
    """The backend stops answering without an ICMP error; its health check notices."""
    with UdpBackends(2, "name") as udp, Backends(1) as checked:
        one, other = udp.rows()
        lb = udp_balancer([one, other])
        assert lb.config is not None
        lb.config["pools"]["web"]["health"] = {
            "type": "tcp", "interval": "50ms", "rise": 1, "fall": 1, "port": checked.ports["a"],
        }  # fmt: skip
        with lb, clients(lb, 10) as all_clients:
            until(lambda: lb.backends()["a"]["health"] == "up", "the check passes")
            assert Counter(ask(client) for client in all_clients) == {b"a?": 5, b"b?": 5}
            checked.stop("a")
            until(lambda: lb.backends()["a"]["health"] == "down", "it is down")
            until(lambda: lb.status()["udp_sessions"] == 0, "no session stays with it")
            assert lb.ask("stats")["ended"] == {"backend_down": 10}
            for client in all_clients:
                client.send(b"?")
            until(lambda: dropped(lb).get("no_backend") == 10, "both are down: nobody serves")
            checked.start("a")
            until(lambda: lb.backends()["b"]["health"] == "up", "they are back")
            assert Counter(ask(client) for client in all_clients)


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_replies_come_from_the_address_asked_on_a_host_with_several(family: str) -> None:
    """The host has two addresses on one interface and a wildcard listener; a client is beside
    it."""
    from ..harness.netns import two_hosts

    addresses = ["10.99.0.1", "10.99.0.2"] if family == "ipv4" else ["fd99::1", "fd99::2"]
    wildcard = "0.0.0.0" if family == "ipv4" else "[::]"
    loopback = "127.0.0.1" if family == "ipv4" else "::1"
    with two_hosts(addresses, "10.99.0.9" if family == "ipv4" else "fd99::9") as hosts:
        port = PORTS.take()
        with hosts.inside(), UdpBackends(1, "echo", host=loopback) as backends:
            lb = udp_balancer(backends.rows(), bind=f"{wildcard}:{port}")
            lb.command = [*hosts.prefix, *lb.command]
            with lb:
                for _ in range(2):
                    for address in addresses:
                        with hosts.client_socket(address) as client:
                            client.settimeout(20)
                            client.sendto(b"hello", (address, port))
                            data, peer = client.recvfrom(100)
                            assert (data, peer[:2]) == (b"hello", (address, port))
