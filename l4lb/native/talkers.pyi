"""The busiest sources (top talkers), merged from all workers; see talkers.pyx and shm/talkers.h."""

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
    """Returns the sources in the sketches of all workers. Sources with the most rejected clients
    come first, then those with the most sessions.

    active: also counts live sessions by source; without it these counts are 0.
    """
