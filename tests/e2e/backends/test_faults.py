"""Backends that stop, return, hang and reset, and the effect on their clients."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from ..harness import Backends, Balancer, Door, Load, ended, greet, names, turned_away, until

HEALTH = {"type": "tcp", "interval": "250ms", "timeout": "500ms", "rise": 2, "fall": 3}


def health_of(lb: Balancer, name: str) -> str:
    return str(lb.backends()[name]["health"])


def wait_until_all_up(lb: Balancer) -> None:
    until(lambda: all(row["health"] == "up" for row in lb.ask("backends")), "all are up")


@pytest.mark.parametrize("balance", ["round_robin", "least_connections"])
def test_clients_see_no_failure_while_one_of_three_stops_and_returns(
    three: Backends, balance: str
) -> None:
    with Balancer.before(three.rows(), health=HEALTH, balance=balance) as lb:
        wait_until_all_up(lb)
        with Load(lb, threads=3) as load:
            three.stop("b")
            until(lambda: health_of(lb, "b") == "down", "b is marked down")
            until(lambda: lb.backends()["b"]["active"] == 0, "b has no session")
            before = three.counts()["b"]["accepted"]
            load.wait_for_more(60)
            assert three.counts()["b"]["accepted"] == before
            three.start("b")
            until(lambda: health_of(lb, "b") == "up", "b is marked up")
            of_b = load.done["b"]
            until(lambda: load.done["b"] > of_b + 3, "b gets traffic again")
        assert load.failures == []


def test_without_health_checks_a_refused_connect_is_retried_elsewhere(three: Backends) -> None:
    with Balancer.before(three.rows()) as lb:
        three.stop("b")
        reached = names(lb, 60)
        assert set(reached) == {"a", "c"}
        assert reached.total() == 60
        row = lb.backends()["b"]
        assert row["connect_errors"] > 0
        assert row["total"] == 0
        three.start("b")
        until(lambda: names(lb, 3)["b"], "b gets traffic again")


def test_the_down_mark_needs_fall_failures_in_a_row(three: Backends) -> None:
    """With fall = 3 a backend that fails one or two checks stays up, as its counts of checks
    show."""
    health = {**HEALTH, "interval": "1s", "fall": 3}
    with Balancer.before(three.rows(), health=health) as lb:
        wait_until_all_up(lb)
        three.stop("b")
        until(lambda: "fail" in check_of(lb, "b"), "one check has failed")
        assert health_of(lb, "b") == "up"
        three.start("b")
        until(lambda: "fail" not in check_of(lb, "b"), "a check passed again")
        assert health_of(lb, "b") == "up"


def check_of(lb: Balancer, name: str) -> str:
    """Returns the result of a backend's last check; it contains "fail" if the check failed."""
    check: Any = lb.backends()[name]["last_check"]
    text = str(check)
    good = isinstance(check, dict) and (check.get("ok") or check.get("result") == "ok")
    return text if good else f"fail: {text}"


def test_when_all_are_down_clients_are_turned_away_quickly_and_come_back(three: Backends) -> None:
    with Balancer.before(three.rows(), health=HEALTH) as lb:
        wait_until_all_up(lb)
        for name in "abc":
            three.stop(name)
        until(lambda: all(row["health"] == "down" for row in lb.ask("backends")), "all are down")
        assert all(turned_away(lb) for _ in range(20))
        until(lambda: sum(lb.active()) == 0, "no session is left")
        three.start("a")
        until(lambda: health_of(lb, "a") == "up", "a is up")
        assert names(lb, 10) == {"a": 10}


def test_try_all_reaches_backends_that_are_wrongly_marked_down(three: Backends) -> None:
    """All backends are marked down. One listens again before its checks have noticed."""
    health = {**HEALTH, "rise": 1000}
    pool: dict[str, Any] = {"when_all_down": "try_all", "retries": 2, "health": health}
    with Balancer.before(three.rows(), **pool) as lb:
        for name in "abc":
            three.stop(name)
        until(lambda: all(row["health"] == "down" for row in lb.ask("backends")), "all are down")
        three.start("c")
        assert names(lb, 20) == {"c": 20}
        assert health_of(lb, "c") == "down"


def test_a_client_of_stopped_backends_is_ended_not_left_hanging(three: Backends) -> None:
    with Balancer.before(three.rows(), retries=2) as lb:
        for name in "abc":
            three.stop(name)
        assert all(turned_away(lb) for _ in range(30))
        assert lb.total("connect_errors") >= 30
        assert lb.total("total") == 0
        until(lambda: sum(lb.active()) == 0, "no session is left")


def test_a_backend_that_resets_every_connection_leaks_nothing() -> None:
    with Backends(1, mode="reset") as backends, Balancer.before(backends.rows()) as lb:
        assert all(turned_away(lb) for _ in range(100))
        until(lambda: lb.total("active") == 0, "no session is left")
        until(lambda: sum(lb.active()) == 0, "no session is left")


def test_sessions_reset_by_their_backend_are_reset_at_the_client(three: Backends) -> None:
    with Balancer.before(three.rows()) as lb, contextlib.ExitStack() as stack:
        clients = []
        for _ in range(30):
            client, name = greet(lb)
            clients.append((stack.enter_context(client), name))
        three.drop("a")
        for client, name in clients:
            if name == "a":
                assert ended(client) == "reset"
            else:
                client.sendall(b"alive")
                assert client.recv(5) == b"alive"


def test_a_hanging_backend_hurts_only_its_own_sessions() -> None:
    with Door() as silent, Backends(2) as backends:
        rows: list[Any] = [*backends.rows(), {"name": "silent", "address": silent.address}]
        with Balancer.before(rows, balance="least_connections") as lb:
            waiting = []
            reached = []
            for _ in range(30):
                client = lb.connect()
                client.settimeout(0.2)
                try:
                    reached.append(client.recv(2))
                    client.close()
                except TimeoutError:
                    waiting.append(client)
            assert {b"a\n", b"b\n"} <= set(reached)
            assert lb.backends()["silent"]["active"] == len(waiting)
            for client in waiting:
                client.close()


def test_killing_a_backends_sessions_by_admin_ends_those_and_no_other(three: Backends) -> None:
    with Balancer.before(three.rows()) as lb, contextlib.ExitStack() as stack:
        clients = []
        for _ in range(30):
            client, name = greet(lb)
            clients.append((stack.enter_context(client), name))
        lb.admin("kill", "--backend", "web/b")
        for client, name in clients:
            if name == "b":
                assert ended(client) == "reset"
            else:
                client.sendall(b"alive")
                assert client.recv(5) == b"alive"
        until(lambda: lb.backends()["b"]["active"] == 0, "b has no session")
