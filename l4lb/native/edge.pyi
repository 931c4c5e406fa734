"""The edge's door to the shared table; see edge.pyx and csrc/shm/edge.h."""

from collections.abc import Mapping, Sequence
from typing import Any

from l4lb.native.table import Table

def set_needs(table: Table, listener: int, *, hello: bool, handshake_timeout_ms: int) -> None:
    """What this listener asks of a client before its backend is chosen; routes add to it."""

def publish_routes(
    table: Table, groups: Sequence[tuple[Sequence[int], Sequence[Mapping[str, Any]]]]
) -> None:
    """Replaces all routes: (listener rows, routes) pairs.

    A route has `pool` (a row) and any of `sni` (a name, "*" or "*.name"), `alpn`, `source` (a
    network) and `percent`. Raises ValueError if they are too many; then nothing has changed."""

def read_hello(data: bytes) -> tuple[Any, ...]:
    """("more", bytes due), ("none",) or ("whole", name, protocols)."""
