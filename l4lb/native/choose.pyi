"""Choices from Python, by the code that makes them; see choose.pyx and csrc/core/bulk.h."""

from collections.abc import Collection, Mapping, Sequence

from l4lb.native.rows import Choice
from l4lb.native.table import Table

def explain(table: Table, pool: int, ip: str, port: int, name: str, now_ms: int) -> Choice:
    """What a client would get now. ip: "" for one over a unix socket; name: of TLS, or ""."""

def copy_pool(
    table: Table,
    pool: int,
    *,
    remove: Collection[int] = (),
    add: Sequence[tuple[str, int]] = (),
    weights: Mapping[int, int] | None = None,
) -> tuple[Table, list[int | None]]:
    """A table of one pool, pool 0, as this pool would be after a change; nobody is served there.

    remove: backends' rows; add: (name, weight) pairs; weights: row to weight. The backends keep
    their health, their state and their response times; connections and limits are left out.
    Returns the table and the original row (None: added) of each of its backends."""

def keys(table: Table, pool: int, count: int, now_ms: int) -> list[int | None]:
    """For `count` clients whose hashes lie evenly over all: each one's backend, or None."""

def picks(
    table: Table, pool: int, count: int, now_ms: int, *, hold: bool = False
) -> tuple[dict[int, int], float]:
    """`count` picks on a table of the caller's own; how many each backend got, and the seconds."""
