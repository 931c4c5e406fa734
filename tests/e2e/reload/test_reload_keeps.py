"""State that a reload keeps: sticky clients, backends that are down with the reason, and counts."""

from __future__ import annotations

import copy
import socket
from typing import Any

from ..harness import Backends, Balancer, read_line, toml, until

SOURCES = [f"127.6.9.{i}" for i in range(1, 25)]
HEALTH = {"type": "tcp", "interval": "100ms", "timeout": "1s", "rise": 2, "fall": 2}


def met(lb: Balancer, source: str) -> str:
    """Returns the backend that a new connection from this address reaches."""
    with socket.create_connection(lb.address, timeout=20, source_address=(source, 0)) as client:
        return read_line(client)


def reload(lb: Balancer, **pool: Any) -> None:
    """Reloads with these keys of the pool changed."""
    config = copy.deepcopy(lb.config or {})
    config["pools"]["web"].update(pool)
    (lb.folder / "l4lb.toml").write_text(toml(config))
    generation = lb.status()["generation"]
    lb.admin("reload")
    assert lb.status()["generation"] > generation


def test_sticky_clients_stay_where_they_are(three: Backends) -> None:
    sticky = {"key": "source_ip", "ttl": "30m"}
    with Balancer.before(three.rows(), workers=2, sticky=sticky) as lb:
        first = {source: met(lb, source) for source in SOURCES}
        assert len(set(first.values())) == 3
        reload(lb, connect_timeout="3s")
        assert {source: met(lb, source) for source in SOURCES} == first


def test_hashed_clients_stay_where_they_are_also_without_a_seed(three: Backends) -> None:
    with Balancer.before(three.rows(), workers=2, balance="maglev") as lb:
        first = {source: met(lb, source) for source in SOURCES}
        reload(lb, connect_timeout="3s")
        assert {source: met(lb, source) for source in SOURCES} == first


def test_a_backend_that_is_down_stays_down_and_its_counts_stay(three: Backends) -> None:
    with Balancer.before(three.rows(), workers=2, health=HEALTH) as lb:
        names = {met(lb, "127.0.0.1") for _ in range(9)}
        assert names == {"a", "b", "c"}
        three.stop("b")
        until(lambda: lb.backends()["b"]["health"] == "down", "b is down")
        until(lambda: lb.backends()["a"]["health"] == "up", "a is up")
        before = lb.backends()
        events = len(lb.ask("events"))
        reload(lb, health={**HEALTH, "interval": "150ms"})
        after = lb.backends()
        assert {name: row["health"] for name, row in after.items()} == {
            "a": "up", "b": "down", "c": "up",
        }  # fmt: skip
        for name in names:
            for key in ("total", "bytes_out", "checks_passed", "checks_failed"):
                assert after[name][key] >= before[name][key] > -1
        passed = after["a"]["checks_passed"]
        until(lambda: lb.backends()["a"]["checks_passed"] > passed + 3, "checks go on")
        told = [row["kind"] for row in lb.ask("events")[events:]]
        assert not [kind for kind in told if kind in ("backend_up", "backend_down")]
