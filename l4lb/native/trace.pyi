"""The picks that were watched, from Python; see trace.pyx and csrc/shm/trace.h."""

from l4lb.native.rows import PickRow
from l4lb.native.table import Table

def set_every(table: Table, every: int) -> None:
    """Of so many picks one is kept; 0: none."""

def recent(table: Table, limit: int) -> list[PickRow]:
    """Up to `limit` picks of all workers, newest first."""
