"""Changes of rows that are in use, at a reload; see row_reuse.pyx."""

from l4lb.native.rows import Address
from l4lb.native.table import Table

def change_backend(
    table: Table,
    index: int,
    *,
    pool: int,
    address: Address,
    weight: int,
    max_connections: int,
    backup: bool,
) -> None:
    """Writes new settings of a backend, in use or not. If its address has changed or it was not in
    use, its health is unknown and it gets a new serial."""

def retire_backend(table: Table, index: int) -> None:
    """Gives a backend no new sessions; its live sessions go on."""

def start_slowly(table: Table, index: int, now_ms: int) -> None:
    """Starts a new backend slowly, if its pool has a slow start."""

def backend_is_idle(table: Table, index: int) -> bool:
    """Returns whether a backend has no sessions at all."""

def listener_is_idle(table: Table, index: int) -> bool:
    """Returns whether a listener row has no clients, those of other addresses that are counted here
    included."""

def pool_is_idle(table: Table, index: int) -> bool:
    """Returns whether a pool has no sessions, with a backend or on the way to one."""

def fold_backend(table: Table, index: int) -> None:
    """Clears the counts of an idle row, before another backend gets it. They stay in totals()."""

def fold_listener(table: Table, index: int) -> None:
    """Clears the counts of an idle row, before another address gets it. Accepted connections stay
    counted in the workers' rows; the state of rate limits is lost."""

def totals(table: Table) -> tuple[int, int, int, int, int]:
    """Returns the sums over all backends that ever were: (total, connect_errors, bytes_in,
    bytes_out, resets)."""
