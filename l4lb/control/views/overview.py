"""The shared table as operators see it: rows as plain maps, with the keys that docs/admin.md fixes.

Pure: the table and the time are arguments. Ages are in milliseconds; keys that end in `_s` are in
seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from l4lb.control.views import backend_health, tls, web
from l4lb.control.views.sessions import sessions as sessions
from l4lb.metrics.processes import Usage
from l4lb.native import row_reuse, session_stats, udp
from l4lb.native.health import health
from l4lb.native.listener_policy import (
    dry_runs,
    portless,
    proxy_mode,
    slowed,
    speaks_socks,
    uncounted,
)
from l4lb.native.packet_rows import PACKET_ROW
from l4lb.native.rows import BackendRow, ListenerRow, PoolRow, UdpTally
from l4lb.native.table import Table

LATENCIES = ("connect", "first_byte", "session", "request", "answer")
Map = dict[str, Any]


class Service(NamedTuple):
    """Facts about the service that are not in the table; times are CLOCK_MONOTONIC."""

    version: str
    pid: int
    started_ms: int
    stale_heartbeat_ms: int


def status(table: Table, service: Service, now_ms: int) -> Map:
    beat_age = now_ms - table.checker_beat_ms if table.checker_beat_ms else None
    return {
        "version": service.version,
        "pid": service.pid,
        "uptime_s": (now_ms - service.started_ms) // 1000,
        "generation": table.generation,
        "connections": table.connections,
        "max_connections": table.max_connections,
        "udp_sessions": udp.sessions(table),
        "checker": {
            "pid": table.checker_pid,
            "heartbeat_age_ms": beat_age,
            "stale": beat_age is None or beat_age > service.stale_heartbeat_ms,
        },
        "workers": [
            {
                "index": row.index,
                "pid": row.pid,
                "active": row.active + row.udp_active,
                "accepted": row.accepted,
                "state": row.state,
                "paused": row.paused,
            }
            for row in table.workers()
            if row.index != PACKET_ROW
        ],
        "listeners": listeners(table),
    }


def listeners(table: Table) -> list[Map]:
    """Returns one map for each bound address."""
    tallies = {row.index: row for row in udp.tallies(table)}
    return [
        _listener(row)
        | {
            "protocol": "socks5" if speaks_socks(table, row.index) else row.protocol,
            "proxy_protocol": proxy_mode(table, row.index),
            "slowed": slowed(table, row.index),
            "dry_run": dry_runs(table, row.index),
        }
        | _datagrams(tallies.get(row.index))
        | tls.of_listener(table, row.index)
        for row in table.listeners()
    ]


def _listener(row: ListenerRow) -> Map:
    return {
        "name": row.name,
        "bind": row.bind,
        "protocol": row.protocol,
        "pool": row.pool,
        "active": row.active,
        "accepted": row.accepted,
        "refused": row.refused,
    }


def _datagrams(tally: UdpTally | None) -> Map:
    """Returns the keys that only a UDP listener has."""
    if tally is None:
        return {}
    return {
        "datagrams_in": tally.datagrams_in,
        "datagrams_out": tally.datagrams_out,
        "dropped": {why: count for why, count in tally.dropped.items() if count},
        "evicted": tally.evicted,
        "moved": tally.moved,
        "adopted": tally.adopted,
        "handed_over": tally.handed,
        "kept": tally.kept,
        "in_kernel": tally.in_kernel,
    }


def pools(table: Table) -> list[Map]:
    backends = table.backends()
    found = []
    for row in table.pools():
        members = [backend for backend in backends if backend.pool == row.name]
        found.append(
            {
                "name": row.name,
                "balance": row.balance,
                "backends": len(members),
                "up": sum(one.is_usable for one in members),
                "active": row.active,
                "total": sum(one.total for one in members),
                "max_connections": row.max_connections,
                "when_all_down": row.when_all_down,
                "retries": row.retries,
                "connect_timeout_ms": row.connect_timeout_ms,
                "idle_timeout_ms": row.idle_timeout_ms,
                "half_closed_timeout_ms": row.half_closed_timeout_ms,
                **_choice(row),
                **tls.of_pool(table, row.index),
            }
        )
    return found


def _choice(row: PoolRow) -> Map:
    """Returns the pool's settings for choosing a backend, beside the algorithm's name."""
    hashes = row.balance in ("ip_hash", "maglev")
    return {
        "hash_key": row.hash_key if hashes else None,
        "hash_prefix": list(row.hash_prefix) if hashes else None,
        "hash_balance_percent": (row.hash_balance_percent or None) if hashes else None,
        "maglev_size": row.maglev_size or None,
        "all_backups": row.all_backups,
        "slow_start_ms": row.slow_start_ms,
        "queue_length": row.queue_length,
        "queue_timeout_ms": row.queue_timeout_ms,
        "waiting": row.waiting,
        "sticky_ttl_ms": row.sticky_ttl_ms,
    }


def backends(table: Table, now_ms: int) -> list[Map]:
    now_s = time.time()
    return [_backend(table, row, now_ms, now_s) for row in table.backends()]


def _backend(table: Table, row: BackendRow, now_ms: int, now_s: float) -> Map:
    known = health(table, row.index)
    return {
        "pool": row.pool,
        "name": row.name,
        "address": str(row.address),
        "weight": row.weight,
        "state": row.state,
        "health": row.health,
        "active": row.active,
        "total": row.total,
        "connect_errors": row.connect_errors,
        "bytes_in": row.bytes_in,
        "bytes_out": row.bytes_out,
        "response_time_ms": round(row.response_us / 1000, 3),
        "last_check": backend_health.last_check(row, known, now_ms, now_s),
        "max_connections": row.max_connections,
        "backup": row.backup,
        "resets": row.resets,
        "checks_passed": row.checks_passed,
        "checks_failed": row.checks_failed,
        **backend_health.beyond_checks(row, known, now_ms),
    }


def workers(table: Table, now_ms: int, usages: Iterable[Usage] = ()) -> list[Map]:
    """Returns one map for each worker. usages: resources that the processes use; unknown values
    become None."""
    used = {one.pid: one for one in usages}
    return [
        {
            "index": row.index,
            "pid": row.pid,
            "cpu": row.cpu,
            "state": row.state,
            "active": row.active + row.udp_active,
            "udp_active": row.udp_active,
            "capacity": row.capacity,
            "udp_capacity": row.udp_capacity,
            "held": row.held,
            "paused": row.paused,
            "accepted": row.accepted,
            "restarts": row.restarts,
            "lost": row.lost,
            "uptime_s": max(0, now_ms - row.started_ms) // 1000 if row.pid else 0,
            "turns": row.turns,
            "last_turn_age_ms": max(0, now_ms - row.beat_ms) if row.beat_ms else None,
            **_used(used.get(row.pid)),
        }
        for row in table.workers()
    ]


def _used(usage: Usage | None) -> Map:
    return {
        "cpu_seconds": round(usage.cpu_seconds, 2) if usage else None,
        "resident_bytes": usage.resident_bytes if usage else None,
        "open_files": usage.fds if usage else None,
    }


def latency(table: Table) -> Map:
    """Returns how long sessions have taken since the start, over all pools: counts by bucket, and
    the upper bounds of the buckets in microseconds. The last bucket has no upper bound."""
    counts: dict[str, list[int]] = {}
    for pool in table.pools():
        measured, _, _ = session_stats.ledger(table, pool.index)
        for measure in LATENCIES:
            mine = measured[measure][1]
            so_far = counts.setdefault(measure, [0] * len(mine))
            counts[measure] = [a + b for a, b in zip(so_far, mine, strict=True)]
    return {"bounds_us": session_stats.bounds("connect"), "counts": counts}


def stats(table: Table) -> Map:
    """Returns totals over all workers since the service started."""
    _, errors, bytes_in, bytes_out, _ = row_reuse.totals(table)
    workers = table.all_workers()
    ended: dict[str, int] = {}
    for worker in workers:
        for reason, count in worker.ended.items():
            ended[reason] = ended.get(reason, 0) + count
    return {
        "connections": table.connections,
        "udp_sessions": udp.sessions(table),
        "accepted": sum(row.accepted for row in workers),
        "bytes_in": bytes_in,
        "bytes_out": bytes_out,
        **web.totals(table),
        "connect_errors": errors,
        "worker_restarts": sum(row.restarts for row in workers),
        "connections_lost": sum(row.lost for row in workers),
        "uncounted": uncounted(table),
        "no_local_port": portless(table),
        "ended": {reason: count for reason, count in ended.items() if count},
        "latency": latency(table),
    }
