"""The picks that were watched, from Python; see trace.pyx and csrc/shm/trace.h."""

from l4lb.native.rows import PickRow
from l4lb.native.table import Table

def set_every(table: Table, every: int) -> None:
    """Records one pick in `every`; 0: none."""

def recent(table: Table, limit: int) -> list[PickRow]:
    """Returns up to `limit` recorded picks of all workers, newest first."""
