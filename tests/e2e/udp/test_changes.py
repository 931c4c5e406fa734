"""UDP sessions while the service changes: workers come and go, the program is replaced, listeners
are added and removed. A session keeps its backend and the port that the backend sees."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator

import pytest

from ..harness import PATIENCE_S, PORTS, Balancer, toml, until
from ..harness.datagrams import UdpBackends, ask, clients, udp_balancer
from ..harness.processes import stopped
from ..harness.wire import ask as request

MANY = 60


@pytest.fixture
def three() -> Iterator[UdpBackends]:
    """Three backends that send their names before each echo."""
    with UdpBackends(3, "name") as backends:
        yield backends


def resize(lb: Balancer, workers: int) -> None:
    """Reloads with this number of workers. Returns when there are as many processes."""
    config = copy.deepcopy(lb.config or {})
    config["process"]["workers"] = workers
    (lb.folder / "l4lb.toml").write_text(toml(config))
    lb.admin("reload")
    until(lambda: len(lb.ask("workers")) == workers, f"{workers} workers")


def settled(lb: Balancer, sessions: int) -> bool:
    """Returns whether each session is counted once."""
    listener = lb.ask("listeners")[0]
    return bool(
        listener["active"] == sum(row["active"] for row in lb.ask("backends")) == sessions
        and len(lb.ask("sessions")) == sessions
    )


@pytest.mark.parametrize("steps", [(3, 1, 4), (1, 2, 1)])
def test_sessions_stay_when_workers_come_and_go(three: UdpBackends, steps: tuple[int, ...]) -> None:
    with udp_balancer(three.rows(), workers=2) as lb, clients(lb, MANY) as all_clients:
        first = [ask(client)[:1] for client in all_clients]
        for workers in steps:
            resize(lb, workers)
            for client, name in zip(all_clients, first, strict=True):
                assert [ask(client)[:1] for _ in range(2)] == [name] * 2
            until(lambda: settled(lb, MANY), "each session is counted once")
        assert sum(len(peers) for peers in three.peers.values()) == MANY, "no port was changed"
        assert lb.ask("listeners")[0]["dropped"] == {}
        assert lb.ask("listeners")[0]["accepted"] == MANY


def test_no_datagram_is_lost_while_workers_come_and_go(three: UdpBackends) -> None:
    with udp_balancer(three.rows(), workers=1) as lb, clients(lb, 8) as all_clients:
        first = [ask(client)[:1] for client in all_clients]
        config = copy.deepcopy(lb.config or {})
        for workers in (3, 1, 2):
            config["process"]["workers"] = workers
            (lb.folder / "l4lb.toml").write_text(toml(config))
            lb.ask("reload")
            for _ in range(40):  # sessions are handed over meanwhile
                assert [ask(client)[:1] for client in all_clients] == first
            until(lambda n=workers: len(lb.ask("workers")) == n, "they are as many")
        assert lb.ask("listeners")[0]["accepted"] == 8


def test_sessions_stay_when_the_program_is_replaced(three: UdpBackends) -> None:
    with udp_balancer(three.rows(), workers=2) as lb, clients(lb, MANY) as all_clients:
        first = [ask(client)[:1] for client in all_clients]
        for _ in range(2):
            before = lb.pids()
            lb.admin("upgrade")
            for client, name in zip(all_clients, first, strict=True):
                assert [ask(client)[:1] for _ in range(2)] == [name] * 2
            until(lambda: settled(lb, MANY), "each session is counted once")
            assert set(lb.pids()).isdisjoint(before)
        assert sum(len(peers) for peers in three.peers.values()) == MANY, "no port was changed"
        until(lambda: lb.ask("listeners")[0]["accepted"] == MANY, "no session was begun anew")
        assert lb.ask("listeners")[0]["dropped"] == {}


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1)])
def test_an_upgrade_waits_until_clients_are_shared_out_over_another_number_of_workers(
    three: UdpBackends, before: int, after: int
) -> None:
    with udp_balancer(three.rows(), workers=before) as lb:
        config = copy.deepcopy(lb.config or {})
        config["process"]["workers"] = after
        (lb.folder / "l4lb.toml").write_text(toml(config))
        old = lb.pids()
        with stopped(old[-1]):  # its sessions cannot be handed over: the change takes its time
            lb.admin("reload")
            request(lb.socket, "upgrade", patience_s=3 * PATIENCE_S)
        until(lambda: set(lb.pids()).isdisjoint(old), "the old workers are gone")
        with clients(lb, MANY) as all_clients:
            for client in all_clients:
                ask(client)
        met = [row["accepted"] for row in lb.ask("workers")]
        assert len(met) == after
        assert all(met), f"workers met no client: {met}"


def test_a_worker_that_returns_at_once_is_not_taken_for_the_one_that_left(
    three: UdpBackends,
) -> None:
    """What is under way for the one that left must end with it."""
    config = {"drain_timeout": "0s"}
    with udp_balancer(three.rows(), workers=4, process=config) as lb, clients(lb, 8) as some:
        for _ in range(2):
            old = lb.pids()
            resize(lb, 3)
            resize(lb, 4)
            end = time.monotonic() + 2.5  # all that was begun for the old one is due by then
            while time.monotonic() < end:
                for client in some:
                    ask(client)
            assert all(row["pid"] and row["state"] == "runs" for row in lb.ask("workers"))
            assert lb.pids()[:3] == old[:3]


def test_a_worker_that_died_after_a_change_is_replaced_with_its_sessions(
    three: UdpBackends,
) -> None:
    with udp_balancer(three.rows(), workers=1) as lb, clients(lb, MANY) as all_clients:
        first = [ask(client)[:1] for client in all_clients]
        resize(lb, 2)
        until(lambda: settled(lb, MANY), "each session is counted once")
        lb.wait_for_new_worker(1, lb.kill(1))
        for client, name in zip(all_clients, first, strict=True):
            assert ask(client)[:1] == name


def test_listeners_come_and_go_and_the_others_sessions_stay(three: UdpBackends) -> None:
    with udp_balancer(three.rows(), workers=2) as lb, clients(lb, 10) as all_clients:
        first = [ask(client)[:1] for client in all_clients]
        before = copy.deepcopy(lb.config or {})
        config = copy.deepcopy(before)
        port = PORTS.take()
        config["listeners"]["more"] = {
            "bind": [f"127.0.0.1:{port}"], "protocol": "udp", "pool": "web",
        }  # fmt: skip
        (lb.folder / "l4lb.toml").write_text(toml(config))
        lb.admin("reload")
        with clients(lb, 6, at=("127.0.0.1", port)) as others:
            assert {ask(client)[:1] for client in others} <= {b"a", b"b", b"c"}
            assert [ask(client)[:1] for client in all_clients] == first
            (lb.folder / "l4lb.toml").write_text(toml(before))
            lb.admin("reload")
            assert [ask(client)[:1] for client in all_clients] == first
            until(lambda: settled(lb, 10), "the listener's sessions went with it")


def test_sessions_per_source_are_counted_in_one_place_from_the_reload_on(
    three: UdpBackends,
) -> None:
    with udp_balancer(three.rows(), workers=3) as lb:
        config = copy.deepcopy(lb.config or {})
        config["listeners"]["web"]["max_sessions_per_source"] = 5
        (lb.folder / "l4lb.toml").write_text(toml(config))
        lb.admin("reload")
        with clients(lb, 20) as all_clients:
            for client in all_clients:
                client.send(b"hello")
            until(
                lambda: lb.ask("listeners")[0]["dropped"] == {"source_sessions": 15},
                "fifteen were too many",
            )
            assert lb.ask("listeners")[0]["active"] == 5


def test_clients_that_stick_meet_their_backend_again(three: UdpBackends) -> None:
    """Another session from the client's address comes after the end of its first one."""
    sticky = {"key": "source_ip", "ttl": "30m"}
    with udp_balancer(three.rows(), sticky=sticky, idle_timeout="300ms") as lb:
        first = {}
        for number in range(1, 13):
            with clients(lb, 1, source=f"127.9.1.{number}") as (client,):
                first[number] = ask(client)[:1]
        assert set(first.values()) == {b"a", b"b", b"c"}
        until(lambda: lb.ask("listeners")[0]["active"] == 0, "the sessions have ended")
        assert {row["client"]: row["backend"].encode() for row in lb.ask("sticky", pool="web")} == {
            f"127.9.1.{number}": name for number, name in first.items()
        }
        for number, name in first.items():
            with clients(lb, 3, source=f"127.9.1.{number}") as again:
                assert {ask(client)[:1] for client in again} == {name}
        lb.admin("drain", f"web/{first[1].decode()}")
        with clients(lb, 1, source="127.9.1.1") as (client,):
            assert ask(client)[:1] != first[1]
