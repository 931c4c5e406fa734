"""The counts of a table by name: one program writes them, the next one reads them. Pure but for the
tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from l4lb.native import cache, counts, http_counts
from l4lb.native.table import Table
from l4lb.supervisor.table.membership import Membership

Counts = Mapping[str, Any]


def taken(table: Table, membership: Membership) -> dict[str, Any]:
    """Returns all counts as they are now. Backends and listeners are lists of [name, name,
    counts]."""
    last = table.capacities.workers - 1  # the book: the supervisor's own row of counters
    each = {
        str(row.index): counts.of_worker(table, row.index)
        for row in table.all_workers()
        if row.index != last
    }
    found = counts.exported(table)  # why: after `each`, so that no row has more than the total
    backends = {**membership.backends.gone, **membership.backends.live}
    pools = {**membership.pools.gone, **membership.pools.live}
    listeners = {**membership.listeners.gone, **membership.listeners.live}
    return {
        "backends": [[*key, found["backends"].get(row, [0] * 5)] for key, row in backends.items()],
        "requests": [
            [*key, found["requests"][row]]
            for key, row in backends.items()
            if row in found["requests"]
        ],
        "listeners": [
            [*key, found["listeners"][row]]
            for key, row in listeners.items()
            if row in found["listeners"]
        ],
        "pools": [
            [name, found["pools"][row]] for name, row in pools.items() if row in found["pools"]
        ],
        "caches": [[name, cache.exported(table, name)] for name in membership.policy.caches.rows],
        "gone": found["gone"],
        "workers": found["workers"],
        "each": each,
    }


def book_each(table: Table, told: Counts) -> None:
    """Adds to each worker row the counts of the old program's worker of that number. Call it before
    a worker runs. Counts without a row go to the book (the supervisor's own counters)."""
    rest = told["workers"]
    for index, numbers in told.get("each", {}).items():
        if int(index) < table.capacities.workers - 1:
            counts.book_workers(table, numbers, int(index))
            rest = difference(rest, numbers)
    counts.book_workers(table, rest)


def book(table: Table, membership: Membership, told: Counts) -> None:
    """Adds counts to the book (the supervisor's own counters). Counts of names that are not in the
    table go to those of removed backends. book_each adds the counts of workers."""
    for pool, name, numbers in told["backends"]:
        counts.book_backend(table, membership.backends.live.get((pool, name)), numbers)
    for pool, name, numbers in told.get("requests", ()):
        row = membership.backends.live.get((pool, name))
        if row is not None:
            http_counts.book_backend(table, row, numbers)
    for name, bind, numbers in told["listeners"]:
        row = membership.listeners.live.get((name, bind))
        if row is not None:
            counts.book_listener(table, row, numbers)
    for name, numbers in told.get("pools", ()):
        row = membership.pools.live.get(name)
        if row is not None:
            counts.book_pool(table, row, numbers)
    for name, numbers in told.get("caches", ()):
        row = membership.policy.caches.rows.get(name)
        if row is not None:
            cache.book(table, row, numbers)
    counts.book_backend(table, None, told["gone"])


def difference(after: Any, before: Any) -> Any:
    """Returns after minus before, number by number; a number that is only in `after` stays
    whole."""
    if isinstance(after, Mapping):
        known = before if isinstance(before, Mapping) else {}
        return {key: difference(value, known.get(key, 0)) for key, value in after.items()}
    if isinstance(after, list):
        if after and isinstance(after[0], list):  # rows, matched by their names
            named = {tuple(row[:-1]): row[-1] for row in before or []}
            return [
                [*row[:-1], difference(row[-1], named.get(tuple(row[:-1]), 0))] for row in after
            ]
        known_list = before if isinstance(before, list) else [0] * len(after)
        return [difference(a, b) for a, b in zip(after, known_list, strict=False)]
    return after - before
