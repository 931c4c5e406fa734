"""HTTP requests as operators see them: counts of each listener, since the start of the service."""

from __future__ import annotations

from collections import Counter
from typing import Any

from l4lb.metrics import http as metrics
from l4lb.native import http_counts
from l4lb.native.table import Table

Map = dict[str, Any]
COUNTS = ("requests", "bytes_in", "bytes_out", "http2_connections", "http2_streams")
BY_KIND = ("statuses", "ended")


def listeners(table: Table) -> list[Map]:
    """Returns one map for each listener that speaks HTTP, over all its addresses. statuses: number
    of requests by the class of their answer (2xx, ..., none: the client got no answer). ended:
    number of requests that no backend answered in full, by reason."""
    found: dict[str, Map] = {}
    for row in table.listeners():
        if row.protocol != "http":
            continue
        one = found.setdefault(
            row.name,
            {
                "listener": row.name,
                **dict.fromkeys(COUNTS, 0),
                **{key: Counter() for key in BY_KIND},
            },
        )
        tally = http_counts.of_listener(table, row.index)
        for key in COUNTS:
            one[key] += getattr(tally, key)
        one["statuses"].update(tally.classes)
        one["ended"].update({reason: count for reason, count in tally.ended.items() if count})
    return list(found.values())


def inspections(table: Table) -> list[Map]:
    """Returns one map for each rule by which an engine inspects what goes through a listener: the
    number of each verdict."""
    counts = metrics.inspections(table).items()
    return [{"listener": name, "rule": rule, **verdicts} for (name, rule), verdicts in counts]


def totals(table: Table) -> Map:
    """Returns the number of requests of all listeners, and those by the class of their answer that
    there were."""
    statuses: Counter[str] = Counter()
    for one in listeners(table):
        statuses.update(one["statuses"])
    return {
        "requests": statuses.total(),
        "statuses": {word: count for word, count in statuses.items() if count},
    }
