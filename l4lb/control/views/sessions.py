"""Live sessions as `admin sessions` shows them: selected and sorted. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

from l4lb.config.address import unmapped
from l4lb.control.commands import SESSIONS_MAX, SORTS
from l4lb.errors import AdminError
from l4lb.native.rows import SessionRow
from l4lb.native.table import Table

Test = Callable[[SessionRow], bool]
KEYS: Mapping[str, Callable[[SessionRow], int]] = {
    "bytes": lambda row: row.bytes_in + row.bytes_out,
    "age": lambda row: row.age_ms,
    "idle": lambda row: row.idle_ms,
}
assert set(KEYS) == set(SORTS)


def sessions(table: Table, now_ms: int, args: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the sessions that the arguments select. Raises AdminError bad_argument."""
    tests, sort, limit = _tests(args), args["sort"], args["limit"]
    if sort is not None and sort not in KEYS:
        raise AdminError("bad_argument", f"sort must be one of {', '.join(SORTS)}")
    if not tests and sort is None:
        return [row._asdict() for row in table.sessions(now_ms, limit)]
    found = [
        row for row in table.sessions(now_ms, SESSIONS_MAX) if all(test(row) for test in tests)
    ]
    if sort is not None:
        found.sort(key=KEYS[sort], reverse=True)
    return [row._asdict() for row in found[:limit]]


def _tests(args: Mapping[str, Any]) -> list[Test]:
    tests: list[Test] = []
    if args["backend"] is not None:
        pool, _, name = args["backend"].partition("/")
        tests.append(lambda row: (row.pool, row.backend) == (pool, name))
    if args["listener"] is not None:
        tests.append(lambda row: row.listener == args["listener"])
    if args["source"] is not None:
        tests.append(_from(args["source"]))
    if args["older_than_ms"] is not None:
        tests.append(lambda row: row.age_ms >= args["older_than_ms"])
    return tests


def _from(source: str) -> Test:
    """Returns a test whether a session's client is in this network or at this address."""
    try:
        network = unmapped(ipaddress.ip_network(source, strict=False))
    except ValueError:
        raise AdminError(
            "bad_argument", "source must be an IP address or a network such as 10.0.0.0/8"
        ) from None

    def is_in(row: SessionRow) -> bool:
        host = row.client.rpartition(":")[0].strip("[]")
        try:
            return ipaddress.ip_address(host) in network
        except ValueError:  # a client of a unix socket
            return False

    return is_in
