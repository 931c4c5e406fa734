"""The busiest sources, merged from what each worker keeps; see talkers.pyx and shm/talkers.h."""

from typing import NamedTuple

from l4lb.native.table import Table

class TalkerRow(NamedTuple):
    """One source: live sessions, and what has ended since it is kept (CLOCK_MONOTONIC)."""

    source: str
    active: int
    sessions: int
    rejected: int
    bytes: int
    since_ms: int

def read(table: Table, *, active: bool = True) -> list[TalkerRow]:
    """The sources that any worker keeps, those of whom most was rejected or ended first.

    active: look through all live sessions for theirs as well; else that is 0."""
