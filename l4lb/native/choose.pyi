"""Choices of a backend from Python; see choose.pyx."""

from collections.abc import Collection, Mapping, Sequence

from l4lb.native.rows import Choice
from l4lb.native.table import Table

def explain(
    table: Table,
    pool: int,
    ip: str,
    port: int,
    now_ms: int,
    *,
    hashed: bytes = b"",
    known: bytes = b"",
) -> Choice:
    """Returns the backend that a client would get now, and why. ip: "" for a client of a unix
    socket. hashed, known: what the pool's hash_key and its sticky.key take of the client beside
    its address: the server name of TLS, or a value of its request; b"": nothing."""

def copy_pool(
    table: Table,
    pool: int,
    *,
    remove: Collection[int] = (),
    add: Sequence[tuple[str, int]] = (),
    weights: Mapping[int, int] | None = None,
) -> tuple[Table, list[int | None]]:
    """Returns a table with one pool, pool 0: the given pool as it would be after a change. It
    serves nobody. remove: rows of backends. add: (name, weight) pairs. weights: row to weight.
    Backends keep health, state and response times; connections and limits are left out. Also
    returns the original row of each of its backends (None: added)."""

def keys(table: Table, pool: int, count: int, now_ms: int) -> list[int | None]:
    """Returns for `count` clients, whose hashes are spread evenly, the backend of each, or None."""

def picks(
    table: Table, pool: int, count: int, now_ms: int, *, hold: bool = False
) -> tuple[dict[int, int], float]:
    """Makes `count` picks on a table that only the caller uses. Returns the number of picks of each
    backend, and the seconds."""
