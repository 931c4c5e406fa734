"""Every algorithm, set in a configuration, and counted over real connections and all workers."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Mapping

import pytest

from ..harness import Backends, Balancer, held, names, read_line, turned_away, until

# Chi-square at p = 0.001, by degrees of freedom (NIST/SEMATECH handbook, table 1.3.6.7.4).
CHI_SQUARE = {2: 13.816, 3: 16.266, 8: 26.124}


def chi_square(counts: Mapping[str, int], weights: Mapping[str, int]) -> float:
    """Returns Pearson's statistic of the counts against the shares of the weights."""
    total, whole = sum(counts.values()), sum(weights.values())
    due = {name: total * weight / whole for name, weight in weights.items()}
    return sum((counts.get(name, 0) - due[name]) ** 2 / due[name] for name in weights)


def reached_from(lb: Balancer, source: str) -> str:
    """Returns the backend that a new connection from this address reaches."""
    with socket.create_connection(lb.address, timeout=20, source_address=(source, 0)) as client:
        return read_line(client)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_random_has_the_weights_shares(workers: int) -> None:
    weights = {"a": 5, "b": 3, "c": 1, "d": 1}
    with (
        Backends(4) as backends,
        Balancer.before(backends.rows(**weights), workers=workers, balance="random") as lb,
    ):
        assert chi_square(names(lb, 1_200), weights) < CHI_SQUARE[3]


@pytest.mark.parametrize("workers", [1, 4])
def test_round_robin_is_exact_over_any_number_of_workers(workers: int, three: Backends) -> None:
    with Balancer.before(three.rows(a=5, b=3), workers=workers) as lb:
        assert names(lb, 900) == {"a": 500, "b": 300, "c": 100}


def test_first_fills_one_backend_and_then_the_next(three: Backends) -> None:
    rows = [{**row, "max_connections": 4} for row in three.rows()]
    with Balancer.before(rows, balance="first") as lb:
        with held(lb, 12, batch=1) as clients:
            assert [name for _, name in clients] == ["a"] * 4 + ["b"] * 4 + ["c"] * 4
            assert turned_away(lb)
        until(lambda: lb.total("active") == 0, "all sessions ended")
        assert names(lb, 3) == {"a": 3}


@pytest.mark.parametrize("balance", ["ip_hash", "maglev"])
def test_a_dead_backends_clients_spread_evenly_and_no_other_client_moves(balance: str) -> None:
    sources = [f"127.7.{i // 200}.{1 + i % 200}" for i in range(1_000)]
    with (
        Backends(10) as backends,
        Balancer.before(backends.rows(), balance=balance, process={"hash_seed": "one"}) as lb,
    ):
        before = {source: reached_from(lb, source) for source in sources}
        assert all(reached_from(lb, source) == before[source] for source in sources[:50])
        lb.admin("maint", "web/j")
        after = {source: reached_from(lb, source) for source in sources}
        of_dead = [source for source in sources if before[source] == "j"]
        assert all(after[one] == before[one] for one in sources if before[one] != "j")
        spread = Counter(after[source] for source in of_dead)
        assert len(of_dead) > 60
        assert chi_square(spread, dict.fromkeys("abcdefghi", 1)) < CHI_SQUARE[8]
        lb.admin("ready", "web/j")
        assert {source: reached_from(lb, source) for source in of_dead} == dict.fromkeys(
            of_dead, "j"
        )


def test_one_seed_gives_one_choice_on_every_host_and_no_seed_another_at_each_start(
    three: Backends,
) -> None:
    def map_of(**process: str) -> list[str]:
        with Balancer.before(three.rows(), balance="maglev", process=process) as lb:
            return [reached_from(lb, f"127.9.0.{i}") for i in range(1, 65)]

    assert map_of(hash_seed="shared") == map_of(hash_seed="shared")
    assert map_of() != map_of()


def test_the_hash_key_survives_a_workers_death(three: Backends) -> None:
    sources = [f"127.9.1.{i}" for i in range(1, 41)]
    with Balancer.before(three.rows(), workers=1, balance="ip_hash") as lb:
        before = [reached_from(lb, source) for source in sources]
        lb.wait_for_new_worker(0, lb.kill(0))
        assert [reached_from(lb, source) for source in sources] == before


def test_hash_prefix_keeps_a_network_together_and_source_ip_port_parts_a_client(
    three: Backends,
) -> None:
    with Balancer.before(three.rows(), balance="ip_hash", hash_prefix=[24, 64]) as lb:
        for network in range(20):
            assert len({reached_from(lb, f"127.5.{network}.{i}") for i in range(1, 9)}) == 1
        assert len({reached_from(lb, f"127.5.{network}.1") for network in range(40)}) == 3
        assert lb.ask("pools")[0]["hash_prefix"] == [24, 64]
    with Balancer.before(three.rows(), balance="maglev", hash_key="source_ip_port") as lb:
        assert len({reached_from(lb, "127.5.0.1") for _ in range(60)}) == 3


def test_hash_balance_bounds_what_one_client_can_put_on_one_backend(three: Backends) -> None:
    rows = three.rows()
    with (
        Balancer.before(rows, balance="maglev", hash_balance_factor="150%") as lb,
        held(lb, 60) as clients,
    ):
        counts = Counter(name for _, name in clients)
        assert max(counts.values()) <= 30
        assert len(counts) >= 2


@pytest.mark.parametrize("all_backups", [False, True])
def test_backups_serve_while_no_primary_is_usable(all_backups: bool) -> None:
    with Backends(4) as backends:
        rows = [{**row, "backup": row["name"] in "cd"} for row in backends.rows()]
        with Balancer.before(rows, all_backups=all_backups) as lb:
            assert names(lb, 20) == {"a": 10, "b": 10}
            lb.admin("drain", "web/a")
            assert names(lb, 10) == {"b": 10}
            lb.admin("maint", "web/b")
            assert names(lb, 10) == ({"c": 5, "d": 5} if all_backups else {"c": 10})
            lb.admin("maint", "web/c")
            assert names(lb, 10) == {"d": 10}
            lb.admin("ready", "web/a")
            assert names(lb, 10) == {"a": 10}


def test_a_backend_that_returns_starts_slowly(three: Backends) -> None:
    with Balancer.before(three.rows(), slow_start="1m") as lb:
        assert names(lb, 30) == {"a": 10, "b": 10, "c": 10}
        lb.admin("drain", "web/c")
        lb.admin("ready", "web/c")
        # The slow start lasts a minute: in the first seconds the backend has a small part of its
        # weight 100.
        assert names(lb, 300)["c"] < 50


def test_when_all_start_slowly_none_starves(three: Backends) -> None:
    with Balancer.before(three.rows(), slow_start="1h") as lb:
        for name in "abc":
            lb.admin("drain", f"web/{name}")
            lb.admin("ready", f"web/{name}")
        counts = names(lb, 300)
        assert chi_square(counts, {"a": 1, "b": 1, "c": 1}) < CHI_SQUARE[2]
