"""Stickiness from Python; see sticky.pyx and csrc/shm/sticky.h."""

from collections.abc import Mapping

from l4lb.native.rows import StickyRow
from l4lb.native.table import Table

def entries(
    table: Table, now_ms: int, pool: int | None = None, limit: int = 1000
) -> list[StickyRow]:
    """Up to limit entries that still hold, of one pool (its row) or of all."""

def put(table: Table, pool: int, client: str, backend: int, now_ms: int) -> bool:
    """Lets a client belong to a backend (its row). client: an address, or a server name where the
    pool knows clients by it. False: there is no room. Raises ValueError if it is none of both."""

def remove(table: Table, pool: int, client: str) -> bool:
    """Lets a client belong to nobody. False: it did not. Raises ValueError as put does."""

def clear(table: Table, pool: int | None = None) -> int:
    """Takes all entries away, of one pool or of all; how many there were."""

ENTRY_BYTES: int

def exported(table: Table, now_ms: int) -> bytes:
    """Every entry, packed (ENTRY_BYTES each), for restore."""

def restore(
    table: Table,
    packed: bytes,
    pools: Mapping[int, int],
    backends: Mapping[int, int],
    now_ms: int,
) -> int:
    """Enters what exported gave; pools and backends: the rows they had to those they have now.
    How many entries there are."""
