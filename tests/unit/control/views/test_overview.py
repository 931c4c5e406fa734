"""The views of a table filled by hand: the exact keys that docs/admin.md fixes."""

from __future__ import annotations

import pytest

from l4lb.control.views import overview
from l4lb.control.views.overview import Service
from l4lb.metrics.processes import Usage
from l4lb.native.results import Result
from l4lb.native.rows import Address
from l4lb.native.table import Table
from tests.unit.supervisor.tables import CAPACITIES, put_backend, table_of

SERVICE = Service("9.9", 42, started_ms=1_000, stale_heartbeat_ms=3_000)
NOW_MS = 61_500


@pytest.fixture
def table() -> Table:
    table = table_of({"web": {"a": Address("10.0.0.1", 80)}, "db": {"c": Address("", 0, "/x")}})
    table.set_listener(0, name="front", bind="0.0.0.0:80", protocol="tcp", pool=0)
    table.start_worker(0, pid=77, cpu=3, now_ms=1_500)
    table.start_worker(1, pid=78, cpu=None, now_ms=1_500)
    return table


def check(table: Table, health: str, result: int, at_ms: int) -> None:
    """Records one check of the first backend."""
    table.record_check(
        0, 1, health=health, passed=result == Result.OK, result=result, errno=0, streak=2,
        at_ms=at_ms, duration_us=1_234,
    )  # fmt: skip


LISTENER = {
    "name": "front",
    "bind": "0.0.0.0:80",
    "protocol": "tcp",
    "pool": "web",
    "active": 0,
    "accepted": 0,
    "refused": 0,
    "proxy_protocol": "off",
    "slowed": 0,
    "dry_run": {},
}


def test_status_says_version_workers_and_listeners(table: Table) -> None:
    table.checker_pid = 99
    table.beat_checker(NOW_MS - 400)
    worker = {"active": 0, "accepted": 0, "state": "off", "paused": False}
    assert overview.status(table, SERVICE, NOW_MS) == {
        "version": "9.9",
        "pid": 42,
        "uptime_s": 60,
        "generation": 1,
        "connections": 0,
        "max_connections": 100,
        "udp_sessions": 0,
        "checker": {"pid": 99, "heartbeat_age_ms": 400, "stale": False},
        "workers": [{"index": 0, "pid": 77, **worker}, {"index": 1, "pid": 78, **worker}],
        "listeners": [LISTENER],
    }


@pytest.mark.parametrize(("age_ms", "stale"), [(0, False), (3_000, False), (3_001, True)])
def test_a_checker_that_does_not_beat_is_stale(table: Table, age_ms: int, stale: bool) -> None:
    table.beat_checker(NOW_MS - age_ms)
    assert overview.status(table, SERVICE, NOW_MS)["checker"]["stale"] is stale


def test_a_checker_that_never_beat_is_stale(table: Table) -> None:
    checker = overview.status(table, SERVICE, NOW_MS)["checker"]
    assert checker == {"pid": 0, "heartbeat_age_ms": None, "stale": True}


def test_listeners_are_a_map_a_bound_address(table: Table) -> None:
    table.set_listener(1, name="front", bind="[::]:80", protocol="tcp", pool=1)
    assert overview.listeners(table) == [LISTENER, LISTENER | {"bind": "[::]:80", "pool": "db"}]


def test_a_listener_that_was_taken_away_is_not_shown(table: Table) -> None:
    table.clear_listener(0)
    assert overview.listeners(table) == []


BACKEND = {
    "pool": "web",
    "name": "a",
    "address": "10.0.0.1:80",
    "weight": 1,
    "state": "ready",
    "health": "unknown",
    "active": 0,
    "total": 0,
    "connect_errors": 0,
    "bytes_in": 0,
    "bytes_out": 0,
    "response_time_ms": 0.0,
    "last_check": None,
    "max_connections": 0,
    "backup": False,
    "resets": 0,
    "checks_passed": 0,
    "checks_failed": 0,
    "agent": None,
    "weight_percent": 100,
    "passive": {
        "failed_attempts": 0,
        "early_resets": 0,
        "ejections": 0,
        "ejected_for_ms": None,
        "cause": None,
        "error": None,
    },
}


def test_backends_have_the_keys_of_the_contract_first_and_in_its_order(table: Table) -> None:
    shown = overview.backends(table, NOW_MS)
    assert shown == [BACKEND, BACKEND | {"pool": "db", "name": "c", "address": "unix:/x"}]
    promised = (
        "pool name address weight state health active total connect_errors bytes_in bytes_out"
        " response_time_ms last_check"
    )
    assert list(shown[0])[:13] == promised.split()


def test_the_last_check_says_result_age_and_how_long_health_is_so(table: Table) -> None:
    check(table, "up", Result.OK, 11_500)
    check(table, "up", Result.REFUSED, 61_000)
    assert overview.backends(table, NOW_MS)[0] == BACKEND | {
        "health": "up",
        "checks_passed": 1,
        "checks_failed": 1,
        "last_check": {
            "type": "",
            "result": "refused",
            "code": 0,
            "text": "",
            "age_ms": 500,
            "duration_ms": 1.234,
            "streak": 2,
            "health_age_ms": 50_000,
            "certificate_days": None,
        },
    }


def test_a_check_of_the_future_has_no_negative_age(table: Table) -> None:
    check(table, "up", Result.OK, NOW_MS + 1)
    last = overview.backends(table, NOW_MS)[0]["last_check"]
    assert (last["age_ms"], last["health_age_ms"]) == (0, 0)


def test_a_result_of_a_later_version_is_shown_as_its_number(table: Table) -> None:
    check(table, "unknown", len(Result) + 5, NOW_MS)
    last = overview.backends(table, NOW_MS)[0]["last_check"]
    assert (last["result"], last["health_age_ms"]) == (str(len(Result) + 5), None)


@pytest.mark.parametrize("state", ["ready", "drain", "maint"])
def test_the_state_is_the_operators_word(table: Table, state: str) -> None:
    table.set_state(0, state)
    assert overview.backends(table, NOW_MS)[0]["state"] == state


def test_pools_say_their_settings_and_how_many_backends_can_be_used(table: Table) -> None:
    for row, name in enumerate(("d", "e", "f"), 2):
        put_backend(table, row, name=name, address=Address("10.0.0.9", row))
    table.set_state(2, "drain")
    table.set_state(3, "maint")
    check(table, "down", Result.REFUSED, NOW_MS)
    shown = overview.pools(table)
    assert shown[0] == {
        "name": "web",
        "balance": "round_robin",
        "backends": 4,
        "up": 1,  # backend f; one other is down, two are out of service
        "active": 0,
        "total": 0,
        "max_connections": 0,
        "when_all_down": "refuse",
        "retries": 2,
        "connect_timeout_ms": 2_000,
        "idle_timeout_ms": 600_000,
        "half_closed_timeout_ms": 300_000,
        "hash_key": None,
        "hash_prefix": None,
        "hash_balance_percent": None,
        "maglev_size": None,
        "all_backups": False,
        "slow_start_ms": 0,
        "queue_length": 0,
        "queue_timeout_ms": 0,
        "waiting": 0,
        "sticky_ttl_ms": 0,
    }
    assert (shown[1]["name"], shown[1]["backends"], shown[1]["up"]) == ("db", 1, 1)


def test_workers_say_where_they_run_and_how_long(table: Table) -> None:
    assert overview.workers(table, NOW_MS)[0] == {
        "index": 0,
        "pid": 77,
        "cpu": 3,
        "state": "off",
        "active": 0,
        "udp_active": 0,
        "capacity": 0,
        "udp_capacity": 0,
        "held": 0,
        "paused": False,
        "accepted": 0,
        "restarts": 0,
        "lost": 0,
        "uptime_s": 60,
        "turns": 0,
        "last_turn_age_ms": None,
        "cpu_seconds": None,
        "resident_bytes": None,
        "open_files": None,
    }
    assert overview.workers(table, NOW_MS)[1]["cpu"] is None


def test_workers_say_what_they_use_of_this_host(table: Table) -> None:
    used = Usage("worker", "0", 77, 1.254, 30_000_000, 40)
    row = overview.workers(table, NOW_MS, [used])[0]
    assert (row["cpu_seconds"], row["resident_bytes"], row["open_files"]) == (1.25, 30_000_000, 40)


def test_a_worker_that_died_has_no_uptime_and_a_restart_more(table: Table) -> None:
    table.end_worker(0, restarted=True)
    shown = overview.workers(table, NOW_MS)[0]
    assert (shown["pid"], shown["uptime_s"], shown["restarts"]) == (0, 0, 1)


def test_stats_of_a_service_that_did_nothing_are_all_nothing(table: Table) -> None:
    found = overview.stats(table)
    assert all(not any(counts) for counts in found.pop("latency")["counts"].values())
    assert found == {
        "connections": 0,
        "udp_sessions": 0,
        "accepted": 0,
        "bytes_in": 0,
        "bytes_out": 0,
        "requests": 0,
        "statuses": {},
        "connect_errors": 0,
        "worker_restarts": 0,
        "connections_lost": 0,
        "uncounted": 0,
        "no_local_port": 0,
        "ended": {},
    }


def test_stats_count_the_restarts_of_all_workers(table: Table) -> None:
    table.end_worker(0, restarted=True)
    table.end_worker(1, restarted=True)
    assert overview.stats(table)["worker_restarts"] == 2


def test_an_empty_table_shows_nothing() -> None:
    empty = Table(CAPACITIES)
    assert empty.sessions(NOW_MS, 10) == []
    assert (overview.pools(empty), overview.workers(empty, NOW_MS)) == ([], [])
    assert overview.backends(empty, NOW_MS) == []
