"""UDP sessions over real sockets: which backend gets a datagram, and how a session ends."""

from __future__ import annotations

import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from ..harness import PORTS, Backends, Balancer, read_line, until
from ..harness.datagrams import LARGEST, UdpBackends, ask, clients, udp_balancer


def listener(lb: Balancer) -> dict[str, Any]:
    """Returns the row of the first listener."""
    row: dict[str, Any] = lb.ask("listeners")[0]
    return row


@pytest.fixture
def two() -> Iterator[UdpBackends]:
    """Two backends that send their names before each echo."""
    with UdpBackends(2, "name") as backends:
        yield backends


def test_a_client_stays_with_its_backend_and_clients_are_shared_out(two: UdpBackends) -> None:
    with udp_balancer(two.rows()) as lb, clients(lb, 40) as all_clients:
        names = Counter()
        for client in all_clients:
            first = ask(client)
            assert [ask(client) for _ in range(3)] == [first] * 3
            names[first[:1].decode()] += 1
        assert names == {"a": 20, "b": 20}
        assert {len(peers) for peers in two.peers.values()} == {20}, "a port for each session"
        assert sum(lb.active()) == listener(lb)["active"] == 40


def test_every_client_gets_exactly_its_own_back_whatever_the_size() -> None:
    """1,000 clients send tagged payloads of 0 to 65,507 bytes, in random batches."""
    shuffle = random.Random(7)
    sizes = [0, 1, 2, 63, 64, 512, 1_199, 1_472, 1_473, 9_000, 40_000, LARGEST]
    with (
        UdpBackends(3, "echo") as backends,
        udp_balancer(backends.rows()) as lb,
        clients(lb, 1000) as all_clients,
    ):
        expected = []
        for _ in range(2):
            order = shuffle.sample(all_clients, len(all_clients))
            while order:
                # why: more at a time would overflow the socket buffers of the backends.
                batch, order = order[:40], order[40:]
                for client in batch:
                    data = shuffle.randbytes(shuffle.choice(sizes))
                    client.send(data)
                    expected.append((client, data))
                for client, data in expected:
                    assert client.recv(LARGEST + 100) == data
                expected.clear()
        shown = listener(lb)
        assert (shown["datagrams_in"], shown["datagrams_out"]) == (2000, 2000)
        assert (shown["accepted"], shown["dropped"], shown["evicted"]) == (1000, {}, 0)
        assert lb.total("bytes_in") == lb.total("bytes_out")


def test_bursts_of_one_client_come_back_whole_and_in_order() -> None:
    sizes = [100] * 30 + [7] + [100] * 20 + [0, 0] + [3000] * 12
    with UdpBackends() as backends, udp_balancer(backends.rows()) as lb, clients(lb) as (client,):
        sent = [bytes([i]) * size for i, size in enumerate(sizes)]
        for data in sent:
            client.send(data)
        assert [client.recv(LARGEST) for _ in sent] == sent


def test_a_session_ends_when_it_is_idle(two: UdpBackends) -> None:
    with udp_balancer(two.rows(), idle_timeout="400ms") as lb, clients(lb) as (client,):
        first = ask(client)
        until(lambda: listener(lb)["active"] == 0, "the idle session ends")
        assert lb.ask("stats")["ended"] == {"idle_timeout": 1}
        assert ask(client) != first, "the next datagram begins another session"


def test_responses_end_a_session_with_its_answer(two: UdpBackends) -> None:
    with udp_balancer(two.rows(), responses=1) as lb, clients(lb) as (client,):
        answers = [ask(client) for _ in range(6)]
        assert Counter(answers) == {b"a?": 3, b"b?": 3}
        until(lambda: listener(lb)["active"] == 0, "no session is left")
        assert lb.ask("stats")["ended"] == {"backend_fin": 6}
        assert [row["active"] for row in lb.ask("backends")] == [0, 0]


def test_requests_begin_another_session_and_the_first_still_gets_its_answers() -> None:
    with (
        UdpBackends(2, "name") as backends,
        udp_balancer(backends.rows(), requests=2, responses=1, workers=1) as lb,
        clients(lb) as (client,),
    ):
        for _ in range(6):
            client.send(b"?")
        answers = Counter(client.recv(100) for _ in range(6))
        assert sorted(answers.values()) == [2, 4], "three sessions of two"
        until(lambda: listener(lb)["active"] == 0, "all are answered")
        assert listener(lb)["accepted"] == 3


def test_sessions_are_shown_and_killed_like_tcp_ones(two: UdpBackends) -> None:
    with udp_balancer(two.rows()) as lb, clients(lb, 3) as all_clients:
        for client in all_clients:
            ask(client, b"12345")
        rows = lb.ask("sessions")
        ports = {client.getsockname()[1] for client in all_clients}
        assert {row["protocol"] for row in rows} == {"udp"}
        assert {int(row["client"].rpartition(":")[2]) for row in rows} == ports
        assert {(row["bytes_in"], row["bytes_out"]) for row in rows} == {(5, 6)}
        assert [(row["source"], row["active"]) for row in lb.ask("talkers")] == [("127.0.0.1", 3)]
        lb.admin("kill", rows[0]["id"])
        until(lambda: len(lb.ask("sessions")) == 2, "the session is gone")
        lb.admin("kill", "--backend", "web/a")
        lb.admin("kill", "--backend", "web/b")
        until(lambda: lb.ask("sessions") == [], "all sessions are gone")
        assert ask(all_clients[0])
        assert lb.ask("stats")["ended"] == {"killed": 3}


def test_a_draining_backend_keeps_its_sessions_and_gets_no_new_ones(two: UdpBackends) -> None:
    with udp_balancer(two.rows()) as lb, clients(lb, 20) as all_clients:
        old = [ask(client) for client in all_clients[:10]]
        lb.admin("drain", "web/a")
        assert [ask(client) for client in all_clients[:10]] == old
        assert {ask(client) for client in all_clients[10:]} == {b"b?"}


def test_a_service_that_drains_serves_the_sessions_it_has_and_no_new_ones() -> None:
    with (
        UdpBackends(1) as backends,
        udp_balancer(backends.rows(), workers=1, process={"drain_timeout": "1m"}) as lb,
        clients(lb, 2) as (old, new),
    ):
        ask(old)
        lb.signal(15)
        until(lambda: lb.ask("workers")[0]["state"] == "drains", "it drains")
        assert ask(old, b"still") == b"still"
        new.send(b"late")
        until(lambda: listener(lb)["dropped"] == {"draining": 1}, "the newcomer is not served")
        lb.admin("kill", "--backend", "web/a")
        assert lb.wait() == 0


def test_a_replaced_worker_goes_on_with_the_sessions_of_the_dead_one(two: UdpBackends) -> None:
    with udp_balancer(two.rows(), workers=2) as lb, clients(lb, 60) as all_clients:
        first = [ask(client) for client in all_clients]
        peers = {name: set(found) for name, found in two.peers.items()}
        pid = lb.kill(0)
        for client in all_clients:  # the datagrams wait in the supervisor's sockets
            client.send(b"?")
        assert [client.recv(100) for client in all_clients] == first
        lb.wait_for_new_worker(0, pid)
        assert {name: set(found) for name, found in two.peers.items()} == peers, "the same ports"
        shown = listener(lb)
        assert shown["adopted"] > 0
        assert (shown["active"], shown["accepted"], lb.ask("status")["udp_sessions"]) == (60,) * 3
        assert [row["active"] for row in lb.ask("backends")] == [30, 30]
        assert lb.ask("stats")["connections_lost"] == 0


def test_replies_go_out_from_the_address_that_was_asked() -> None:
    port = PORTS.take()
    with UdpBackends() as backends, udp_balancer(backends.rows(), bind=f"0.0.0.0:{port}"):
        for host in ("127.0.0.1", "127.0.0.2", "127.44.3.2"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(20)
                client.sendto(b"hello", (host, port))
                assert client.recvfrom(100) == (b"hello", (host, port))


def test_udp_and_tcp_listeners_share_a_service_and_a_port() -> None:
    with UdpBackends() as udp, Backends(1) as tcp:
        lb = udp_balancer(udp.rows())
        assert lb.config is not None
        lb.config["listeners"]["tcp"] = {"bind": lb.binds(), "pool": "tcp"}
        lb.config["pools"]["tcp"] = {"backends": tcp.rows()}
        with lb, clients(lb) as (client,), lb.connect() as connection:
            assert ask(client, b"x") == b"x"
            assert read_line(connection) == "a"
            assert (lb.status()["connections"], lb.status()["udp_sessions"]) == (1, 1)
            rows = {row["protocol"]: row["active"] for row in lb.ask("listeners")}
            assert rows == {"tcp": 1, "udp": 1}


def test_a_reply_over_the_amplification_limit_waits_for_proof() -> None:
    with (
        UdpBackends(1, "twice") as backends,
        udp_balancer(backends.rows(), listener={"max_amplification": 1}) as lb,
        clients(lb, timeout_s=20) as (client,),
    ):
        assert ask(client, b"x" * 50) == b"x" * 50
        until(lambda: listener(lb)["dropped"] == {"amplification": 1}, "the second one is dropped")
        assert ask(client, b"y") == b"y"
        assert client.recv(100) == b"y", "it has proven itself"


def test_source_ports_of_services_are_refused_on_demand() -> None:
    guard = {"reject_privileged_ports": True}
    with (
        UdpBackends() as backends,
        udp_balancer(backends.rows(), listener=guard) as lb,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as low,
        clients(lb) as (client,),
    ):
        for port in range(600, 1024):
            try:
                low.bind(("127.0.0.1", port))
                break
            except PermissionError:
                pytest.skip("only root has low ports")
            except OSError:
                continue
        low.sendto(b"x", lb.address)
        until(lambda: listener(lb)["dropped"] == {"source_port": 1}, "it is dropped")
        assert ask(client, b"x") == b"x"


def test_memory_and_descriptors_stay_bounded_and_the_idle_longest_goes() -> None:
    with (
        UdpBackends() as backends,
        udp_balancer(backends.rows(), limits={"max_udp_sessions": 16}, workers=1) as lb,
        clients(lb, 8) as friends,
        clients(lb, 200) as strangers,
    ):
        for client in friends * 2:
            ask(client, b"friend")
        ports = {client.getsockname()[1] for client in friends}
        for stranger in strangers:
            stranger.send(b"stranger")
            assert stranger.recv(100) == b"stranger"
        assert lb.status()["udp_sessions"] <= 16
        assert listener(lb)["evicted"] == 192
        kept = {int(row["client"].rpartition(":")[2]) for row in lb.ask("sessions")}
        assert ports <= kept, "proven clients were not pushed out by strangers"


def test_a_dead_backend_costs_a_session_one_datagram() -> None:
    with (
        UdpBackends(2, "name") as backends,
        udp_balancer(backends.rows()) as lb,
        clients(lb, 20) as all_clients,
    ):
        for client in all_clients:
            ask(client)
        backends.stop("a")
        lost = 0
        for client in all_clients:
            client.settimeout(0.3)
            for _ in range(2):
                try:
                    assert ask(client) == b"b?"
                except TimeoutError:
                    lost += 1
            client.settimeout(20)
            assert ask(client) == b"b?"
        assert lost <= 10, "at most one for each session that was there"
        assert listener(lb)["moved"] == 10
        assert lb.backends()["a"]["connect_errors"] == 10


def test_nothing_is_kept_waiting_by_a_backend_that_does_not_answer() -> None:
    with (
        UdpBackends(1, "silent") as backends,
        udp_balancer(backends.rows(), idle_timeout="300ms") as lb,
        clients(lb, 50) as all_clients,
    ):
        begin = time.monotonic()
        for client in all_clients:
            client.send(b"anybody?")
        until(lambda: listener(lb)["accepted"] == 50, "all are taken")
        until(lambda: listener(lb)["active"] == 0, "and all end")
        assert time.monotonic() - begin < 20
        assert backends.received["a"] == 50


def test_one_source_has_so_many_sessions_and_no_more() -> None:
    bound = {"max_sessions_per_source": 3}
    with (
        UdpBackends() as backends,
        udp_balancer(backends.rows(), listener=bound) as lb,
        clients(lb, 5) as ours,
        clients(lb, 2, source="127.0.0.2") as others,
    ):
        for client in ours[:3]:
            assert ask(client, b"x") == b"x"
        for client in ours[3:]:
            client.send(b"x")
        until(lambda: listener(lb)["dropped"] == {"source_sessions": 2}, "no more of this source")
        for client in others + ours[:3]:
            assert ask(client, b"y") == b"y"
        pids = lb.pids()
        for worker, pid in enumerate(pids):
            lb.kill(worker)
            lb.wait_for_new_worker(worker, pid)
        ours[3].send(b"x")
        until(lambda: listener(lb)["dropped"] == {"source_sessions": 3}, "it is known again")
        lb.admin("kill", lb.ask("sessions")[0]["id"])
        lb.admin("kill", lb.ask("sessions")[-1]["id"])
        until(lambda: lb.status()["udp_sessions"] == 3, "two have ended")
        assert all(ask(client, b"z") == b"z" for client in [*others, *ours[:3]]), "there is room"
