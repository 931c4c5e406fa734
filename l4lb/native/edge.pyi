"""The edge's door to the shared table; see edge.pyx and csrc/shm/edge.h."""

from collections.abc import Mapping, Sequence
from typing import Any

from l4lb.native.table import Table

PROXY_MODES: dict[str, int]
HELLO: dict[str, int]
"""What a listener asks of clients, as bits of its setting `asked`."""
UDP_WAYS: dict[str, int]
"""What its pools need of a UDP listener, as bits of its setting `udp_ways`."""
TLVS: tuple[str, ...]
LIMITS: tuple[str, ...]

def denies(table: Table, listener: int, address: str) -> bool:
    """Is an IP address turned away by this listener's networks?"""

def slowed(table: Table, listener: int) -> int:
    """How many sessions a limit of bandwidth has held back."""

def portless(table: Table) -> int:
    """How many connects found no free local port."""

def uncounted(table: Table) -> int:
    """How many clients found no place in the table of sources."""

def dry_runs(table: Table, listener: int) -> dict[str, int]:
    """Whom rules in dry run would have turned away, by reason word."""

def publish_routes(
    table: Table, groups: Sequence[tuple[Sequence[int], Sequence[Mapping[str, Any]]]]
) -> None:
    """Replaces all routes: (listener rows, routes) pairs.

    A route has `pool` (a row) and any of `sni` (a name, "*" or "*.name"), `alpn`, `source` (a
    network) and `percent`; `goes_on`: the next is the same route in other words, and shares its
    luck. Raises ValueError if they are too many; then nothing has changed."""
