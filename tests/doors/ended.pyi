"""What a worker does at the end of a session, done by a test."""

from l4lb.native.table import Table

def account(
    table: Table,
    worker: int,
    reason: str,
    *,
    listener: int = 0,
    pool: int = 0,
    backend: int | None = None,
    client: str = "127.0.0.1",
    error: int = 0,
    reached: bool = True,
    ended_us: int | None = None,
    **numbers: int,
) -> None:
    """Accounts for the end of one session, as that worker does; `numbers` are other fields of
    struct l4_outcome."""

def note(
    table: Table, worker: int, address: str, now_ms: int, *, moved: int = 0, rejected: bool = False
) -> None:
    """What a worker does when a session ends, of the busiest sources."""
