"""HTTP requests in progress, and connections to backends that wait for one, as operators see them.
Pure but for the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from l4lb.control.commands import SESSIONS_MAX
from l4lb.native import http_counts
from l4lb.native.rows import RequestRow
from l4lb.native.table import Table

Test = Callable[[RequestRow], bool]


def requests(table: Table, now_ms: int, args: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the requests that the arguments select, the oldest first. now_ms: CLOCK_MONOTONIC."""
    tests = _tests(args)
    found = http_counts.requests(table, now_ms, SESSIONS_MAX)
    chosen = [row for row in found if all(test(row) for test in tests)]
    chosen.sort(key=lambda row: row.age_ms, reverse=True)
    return [row._asdict() for row in chosen[: args["limit"]]]


def _tests(args: Mapping[str, Any]) -> list[Test]:
    tests: list[Test] = []
    if args["slow_ms"] is not None:
        tests.append(lambda row: row.age_ms >= args["slow_ms"])
    if args["listener"] is not None:
        tests.append(lambda row: row.listener == args["listener"])
    if args["backend"] is not None:
        pool, _, name = args["backend"].partition("/")
        tests.append(lambda row: (row.pool, row.backend) == (pool, name))
    if args["route"] is not None:
        tests.append(lambda row: row.route == args["route"])
    return tests


def spare(table: Table) -> list[dict[str, Any]]:
    """Returns the spare connections of each worker to each backend, and how requests of the backend
    got their connections so far."""
    found = []
    for index, worker, connections in http_counts.spares(table):
        row, column = table.backend(index), http_counts.of_backend(table, index)
        if row is not None:
            found.append(
                {
                    "pool": row.pool,
                    "backend": row.name,
                    "worker": worker,
                    "connections": connections,
                    "reused": column.reused,
                    "fresh": column.fresh,
                    "stale": column.stale,
                }
            )
    return found
