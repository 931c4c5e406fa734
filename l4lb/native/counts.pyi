"""All counts of a table as plain data; see counts.pyx."""

from collections.abc import Mapping, Sequence
from typing import Any

from l4lb.native.table import Table

def exported(table: Table) -> dict[str, Any]:
    """Returns {backends: {row: [...]}, requests: {backend's row: {...}}, gone: [...],
    listeners: {row: {...}}, pools: {row: {...}}, workers: {...}}. Each count is the sum over all
    workers and the book."""

def book_backend(table: Table, index: int | None, counts: Sequence[int]) -> None:
    """Adds to a backend's counts; index None: to the counts of removed backends."""

def book_listener(table: Table, index: int, counts: Mapping[str, Any]) -> None:
    """Adds to a listener's counts."""

def book_pool(table: Table, index: int, counts: Mapping[str, Any]) -> None:
    """Adds to a pool's histograms. A histogram whose buckets differ in this version is left out."""

def of_worker(table: Table, index: int) -> dict[str, Any]:
    """Returns the counts of one worker row."""

def book_workers(table: Table, counts: Mapping[str, Any], index: int | None = None) -> None:
    """Adds to the counts of all workers together, or of one row."""

def parts(table: Table) -> dict[int, int]:
    """Returns {row: sessions} of the backends with sessions in workers, without those of the
    book."""

def active_at(table: Table, worker: int) -> dict[int, int]:
    """Returns {row: active sessions} of the listeners with sessions in one worker row."""

def set_elsewhere(table: Table, index: int, sessions: int) -> None:
    """Sets the number of a backend's sessions that are in workers of older programs."""
