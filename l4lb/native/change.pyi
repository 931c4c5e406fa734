"""What a reload does to rows that are in use; see change.pyx."""

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
    """Other settings of a backend, in use or not. At another address, or in use again, its health
    is not known, and its serial is a new one."""

def retire_backend(table: Table, index: int) -> None:
    """No new sessions; those it has go on."""

def start_slowly(table: Table, index: int, now_ms: int) -> None:
    """A backend that came while the service runs has its weight by and by, where its pool says."""

def backend_is_idle(table: Table, index: int) -> bool:
    """Has it no sessions at all?"""

def listener_is_idle(table: Table, index: int) -> bool:
    """Are all its clients gone?"""

def pool_is_idle(table: Table, index: int) -> bool:
    """Has it no sessions, with a backend or on the way to one?"""

def fold_backend(table: Table, index: int) -> None:
    """Before an idle row is given to another backend: its counts stay in totals() only."""

def fold_listener(table: Table, index: int) -> None:
    """Before an idle row is given to another address. What was accepted is in the workers' rows."""

def totals(table: Table) -> tuple[int, int, int, int, int]:
    """Over all backends there ever were: (total, connect_errors, bytes_in, bytes_out, resets)."""
