"""Invariant 5: the distribution that an algorithm promises is the one counted over all workers."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Mapping

import pytest

from ..harness import Backends, Balancer, ended, greet, held, names, turned_away, until

WORKERS = 2
WEIGHTS = {"a": 5, "b": 3, "c": 1}
HELD = 3_006  # a multiple of the weights' sum, so that each share is a whole number


def assert_shares(
    counted: Mapping[str, int], weights: Mapping[str, int], total: int, tolerance: int
) -> None:
    """Asserts that each backend's count is within `tolerance` of its weight's exact share of
    `total`."""
    assert sum(counted.values()) == total
    for name, weight in weights.items():
        share = total * weight / sum(weights.values())
        assert abs(counted.get(name, 0) - share) <= tolerance, (name, share, counted)


def active(lb: Balancer) -> dict[str, int]:
    return {name: row["active"] for name, row in lb.backends().items()}


@pytest.mark.parametrize("weights", [{"a": 1, "b": 1, "c": 1}, WEIGHTS])
def test_round_robin_differs_from_exact_shares_by_at_most_one_a_worker(
    three: Backends, weights: dict[str, int]
) -> None:
    with Balancer.before(three.rows(**weights), workers=WORKERS) as lb:
        with held(lb, HELD) as clients:
            reached = Counter(name for _, name in clients)
            assert_shares(reached, weights, HELD, tolerance=WORKERS)
            assert active(lb) == reached
            assert sum(lb.active()) == HELD
            assert min(lb.active()) > 0
        until(lambda: lb.total("active") == 0, "all sessions ended")
        assert {name: row["total"] for name, row in lb.backends().items()} == reached


@pytest.mark.parametrize("weights", [{"a": 1, "b": 1, "c": 1}, WEIGHTS])
def test_least_connections_differs_from_exact_shares_by_at_most_one_at_rest(
    three: Backends, weights: dict[str, int]
) -> None:
    rows = three.rows(**weights)
    with Balancer.before(rows, workers=WORKERS, balance="least_connections") as lb:
        with held(lb, HELD) as clients:
            reached = Counter(name for _, name in clients)
            assert_shares(reached, weights, HELD, tolerance=1)
            assert active(lb) == reached
        until(lambda: lb.total("active") == 0, "all sessions ended")


def test_least_connections_fills_up_whoever_has_lost_sessions(three: Backends) -> None:
    with (
        Balancer.before(three.rows(), balance="least_connections") as lb,
        contextlib.ExitStack() as stack,
    ):
        clients = [greet(lb) for _ in range(90)]
        for client, name in clients:
            if name == "a":
                client.close()
            else:
                stack.enter_context(client)
        until(lambda: active(lb)["a"] == 0, "a's sessions ended")
        for _ in range(30):
            client, name = greet(lb)
            stack.enter_context(client)
            assert name == "a"
        assert active(lb) == {"a": 30, "b": 30, "c": 30}


def test_smooth_weighted_round_robin_spreads_a_heavy_backend_out(three: Backends) -> None:
    """5/1/1 does not give "aaaaabc": the two light backends never follow each other."""
    with Balancer.before(three.rows(a=5), workers=1) as lb:
        order = [_name(lb) for _ in range(70)]
        assert Counter(order) == {"a": 50, "b": 10, "c": 10}
        turns = "".join(order)
        assert not any(pair in turns for pair in ("bc", "cb", "bb", "cc")), turns


def _name(lb: Balancer) -> str:
    client, name = greet(lb)
    client.close()
    return name


@pytest.mark.parametrize("command", ["drain", "maint"])
@pytest.mark.parametrize("balance", ["round_robin", "least_connections"])
def test_a_backend_out_of_service_gets_nothing_new_until_it_is_ready_again(
    three: Backends, command: str, balance: str
) -> None:
    with Balancer.before(three.rows(), balance=balance) as lb:
        clients = [greet(lb) for _ in range(9)]
        lb.admin(command, "web/b")
        assert lb.backends()["b"]["state"] == command
        assert names(lb, 40)["b"] == 0
        of_b = [client for client, name in clients if name == "b"]
        for client in of_b:
            client.sendall(b"still served")
            assert client.recv(100) == b"still served"
        lb.admin("ready", "web/b")
        until(lambda: names(lb, 3)["b"], "b gets connections again")
        for client, _ in clients:
            client.close()


@pytest.mark.parametrize("balance", ["round_robin", "least_connections"])
def test_weight_0_gets_nothing_new_and_a_weight_set_later_counts_at_once(
    three: Backends, balance: str
) -> None:
    with Balancer.before(three.rows(b=0), balance=balance) as lb:
        assert names(lb, 40)["b"] == 0
        lb.admin("weight", "web/b", "2")
        assert lb.backends()["b"]["weight"] == 2
        with held(lb, 400) as clients:
            reached = Counter(name for _, name in clients)
            assert_shares(reached, {"a": 1, "b": 2, "c": 1}, 400, tolerance=WORKERS)
        until(lambda: lb.total("active") == 0, "all sessions ended")
        lb.admin("weight", "web/b", "0")
        assert names(lb, 40)["b"] == 0


def test_a_weight_changed_under_load_ends_in_the_new_shares(three: Backends) -> None:
    with Balancer.before(three.rows()) as lb:
        names(lb, 10)
        lb.admin("weight", "web/a", "7")
        assert_shares(names(lb, 90), {"a": 7, "b": 1, "c": 1}, 90, tolerance=WORKERS)


@pytest.mark.parametrize("balance", ["round_robin", "least_connections"])
def test_max_connections_is_never_exceeded_as_the_backend_counts_it(balance: str) -> None:
    with Backends(2, mode="brief", hold_ms=5) as backends:
        rows = [{**row, "max_connections": 3} for row in backends.rows()]
        with Balancer.before(rows, balance=balance, retries=0) as lb:
            served = _race(lb, threads=12, each=60)
            until(lambda: lb.total("active") == 0, "all sessions ended")
            counts = backends.counts()
            assert served == sum(row["accepted"] for row in counts.values())
            assert all(0 < row["peak"] <= 3 for row in counts.values()), counts


def _race(lb: Balancer, threads: int, each: int) -> int:
    """Runs threads that connect as fast as they can. Returns how many connections reached a
    backend."""
    served: Counter[int] = Counter()

    def work(seed: int) -> None:
        for _ in range(each):
            # why: there are fewer places than threads; clients without a place are reset.
            with contextlib.suppress(ConnectionResetError), lb.connect() as client:
                if client.recv(1):
                    served[seed] += 1
                    ended(client)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return served.total()


def test_places_of_a_full_backend_are_given_again_when_its_sessions_end() -> None:
    with Backends(1) as backends:
        rows = [{**backends.rows()[0], "max_connections": 5}]
        with Balancer.before(rows) as lb:
            for _ in range(3):
                with contextlib.ExitStack() as stack:
                    for _ in range(5):
                        stack.enter_context(greet(lb)[0])
                    assert turned_away(lb)
                    assert backends.counts()["a"]["active"] == 5
                until(lambda: lb.total("active") == 0, "the places are free")
