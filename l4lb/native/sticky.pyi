"""Stickiness from Python; see sticky.pyx and csrc/shm/sticky.h."""

from collections.abc import Mapping

from l4lb.native.rows import StickyRow
from l4lb.native.table import Table

def entries(
    table: Table, now_ms: int, pool: int | None = None, limit: int = 1000
) -> list[StickyRow]:
    """Returns up to `limit` valid entries, of one pool (its row) or of all."""

def put(table: Table, pool: int, client: str, backend: int, now_ms: int) -> bool:
    """Assigns a client to a backend (its row). client: an address, a server name if the pool's key
    is sni, or a value of requests if its key is one. Returns False if there is no room. Raises
    ValueError if client is none of them."""

def remove(table: Table, pool: int, client: str) -> bool:
    """Removes a client's entry. Returns False if there is none. Raises ValueError as put does."""

def clear(table: Table, pool: int | None = None) -> int:
    """Removes all entries of one pool or of all. Returns their number."""

ENTRY_BYTES: int

def exported(table: Table, now_ms: int) -> bytes:
    """Returns every entry, packed, for restore."""

def restore(
    table: Table,
    packed: bytes,
    pools: Mapping[int, int],
    backends: Mapping[int, int],
    now_ms: int,
) -> int:
    """Enters the data of exported. pools and backends map old rows to new ones. Returns the number
    of entries. An entry without its whole name is found only as long as the key of all hashes is
    the one that it was made with."""
