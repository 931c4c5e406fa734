"""Counts of requests, and the requests in progress; see http_counts.pyx."""

from collections.abc import Mapping
from typing import Any

from l4lb.native.rows import HttpColumn, HttpTally, RequestRow
from l4lb.native.table import Table

CLASSES: tuple[str, ...]
"""The classes of statuses: none (the client got no answer), 1xx, ..., 5xx."""

def of_listener(table: Table, listener: int) -> HttpTally:
    """Returns the counts of a bound address's requests, over all workers."""

def of_backend(table: Table, backend: int) -> HttpColumn:
    """Returns the counts of a backend's requests, over all workers."""

def spares(table: Table) -> list[tuple[int, int, int]]:
    """Returns the connections to backends that wait for a request: (backend's row, worker, number)
    of each worker that has some."""

def book_listener(table: Table, index: int, counts: Mapping[str, Any]) -> None:
    """Adds to the counts of a listener's requests. counts: of_listener of another table, as a
    dict."""

def book_backend(table: Table, index: int, counts: Mapping[str, Any]) -> None:
    """Adds to the counts of a backend's requests. counts: of_backend of another table, as a
    dict."""

def clear_listener(table: Table, index: int) -> None:
    """Clears the counts of a row, before another address gets it."""

def clear_backend(table: Table, index: int) -> None:
    """Clears the counts of an idle row, before another backend gets it."""

def requests(table: Table, now_ms: int, limit: int) -> list[RequestRow]:
    """Returns up to `limit` requests in progress. now_ms: CLOCK_MONOTONIC."""
