"""The metrics of HTTP requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from l4lb.http.routes import VERDICTS
from l4lb.metrics.exposition import Scrape
from l4lb.native import http, http_counts
from l4lb.native.rows import BackendRow
from l4lb.native.table import Table

REJECTED = "rejected:"
# Ends of clients, and of requests, that reached no backend and did nothing wrong.
TURNED_AWAY = ("no_backend", "connect_failed", "queue_timeout")


def add(scrape: Scrape, table: Table, backends: Iterable[BackendRow]) -> None:
    """Adds the samples of listeners that speak HTTP, and of the pools and backends that requests
    went to. Without such a listener there are none."""
    pools = {row.pool for row in table.listeners() if row.protocol == "http"}
    _listeners(scrape, table)
    if pools:
        _backends(scrape, table, backends, pools)


def _listeners(scrape: Scrape, table: Table) -> None:
    """Adds listeners. Several bound addresses may have one listener's name."""
    sums: Counter[tuple[str, str, str]] = Counter()
    for row in table.listeners():
        if row.protocol != "http":
            continue
        for number, slot in enumerate(http.slots(table, row.index), 1):
            # The addresses of a listener have the same routes.
            sums["l4lb_route_requests_total", row.name, str(number)] = http.hits(table, slot)
        for rule, slot in http.rules(table, row.index):
            sums["l4lb_filter_hits_total", row.name, rule] = http.hits(table, slot)
        tally = http_counts.of_listener(table, row.index)
        for word, count in tally.classes.items():
            sums["l4lb_requests_total", row.name, word] += count
        sums["l4lb_request_bytes_total", row.name, "in"] += tally.bytes_in
        sums["l4lb_request_bytes_total", row.name, "out"] += tally.bytes_out
        sums["l4lb_http2_connections", row.name, ""] += tally.http2_connections
        sums["l4lb_http2_streams_total", row.name, ""] += tally.http2_streams
        for kind, count in tally.http2_abuses.items():
            sums["l4lb_http2_abuse_total", row.name, kind] += count
        for reason, count in tally.ended.items():
            if reason in TURNED_AWAY or reason.startswith(REJECTED):
                why = reason.removeprefix(REJECTED)
                sums["l4lb_requests_rejected_total", row.name, why] += count
    for (metric, name, label), count in sums.items():
        scrape.add(metric, count, name, *([label] if label else []))
    for labels, verdicts in inspections(table).items():
        for verdict, count in verdicts.items():
            scrape.add("l4lb_inspections_total", count, *labels, verdict)


def inspections(table: Table) -> dict[tuple[str, str], dict[str, int]]:
    """Returns what engines said, by verdict, for each listener and rule of its."""
    found = {}
    for row in table.listeners():
        for rule, slots in http.inspections(table, row.index) if row.protocol == "http" else ():
            counts = zip(VERDICTS[1:], slots[1:], strict=True)
            # The addresses of a listener have the same rules.
            found[row.name, rule] = {word: http.hits(table, slot) for word, slot in counts}
    return found


def _backends(
    scrape: Scrape, table: Table, backends: Iterable[BackendRow], pools: set[str]
) -> None:
    """Adds backends of these pools, and of others that requests went to by a route."""
    sums: Counter[tuple[str, str, str]] = Counter()
    for row in backends:
        column = http_counts.of_backend(table, row.index)
        if row.pool not in pools and not any(column.classes.values()):
            continue
        for word, count in column.classes.items():
            scrape.add("l4lb_backend_requests_total", count, row.pool, row.name, word)
        scrape.add("l4lb_backend_requests_active", row.active, row.pool, row.name)
        scrape.add("l4lb_spare_connections", column.spare, row.pool, row.name)
        for result in ("fresh", "reused", "stale"):
            sums["l4lb_reuse_total", row.pool, result] += getattr(column, result)
        for cause, count in column.retries.items():
            sums["l4lb_request_retries_total", row.pool, cause] += count
    for (metric, pool, label), count in sums.items():
        scrape.add(metric, count, pool, label)
