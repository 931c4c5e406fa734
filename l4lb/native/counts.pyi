"""All counts of a table as plain data; see counts.pyx."""

from collections.abc import Mapping, Sequence
from typing import Any

from l4lb.native.table import Table

def exported(table: Table) -> dict[str, Any]:
    """{backends: {row: [...]}, gone: [...], listeners: {row: {...}}, pools: {row: {...}},
    workers: {...}}."""

def book_backend(table: Table, index: int | None, counts: Sequence[int]) -> None:
    """Adds to a backend's counts; index None: to those of backends that are gone."""

def book_listener(table: Table, index: int, counts: Mapping[str, Any]) -> None:
    """Adds to a listener's counts."""

def book_pool(table: Table, index: int, counts: Mapping[str, Any]) -> None:
    """Adds to what was measured of a pool's sessions; a measure that this version keeps in other
    buckets is left out."""

def of_worker(table: Table, index: int) -> dict[str, Any]:
    """What one worker row counted."""

def book_workers(table: Table, counts: Mapping[str, Any], index: int | None = None) -> None:
    """Adds to the counts of all workers together, or of one row."""

def parts(table: Table) -> dict[int, int]:
    """{row: sessions} of the backends that workers have sessions of, the book's not among them."""

def set_elsewhere(table: Table, index: int, sessions: int) -> None:
    """So many sessions of a backend are in workers of programs before this one."""
