"""Listeners' policy and routes in the shared table; see listener_policy.pyx."""

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
    """Returns whether this listener's access list turns an IP address away."""

def proxy_mode(table: Table, listener: int) -> str:
    """Returns which PROXY headers this listener takes: a key of PROXY_MODES."""

def speaks_socks(table: Table, listener: int) -> bool:
    """Returns whether clients of this listener speak SOCKS5; its plane is that of HTTP."""

def slowed(table: Table, listener: int) -> int:
    """Returns the number of sessions that a bandwidth limit has slowed down."""

def portless(table: Table) -> int:
    """Returns the number of connects that found no free local port."""

def uncounted(table: Table) -> int:
    """Returns the number of clients that found no room in the table of sources."""

def dry_runs(table: Table, listener: int) -> dict[str, int]:
    """Returns the number of clients that rules in a dry run would have turned away, by reason."""

def publish_routes(
    table: Table, groups: Sequence[tuple[Sequence[int], Sequence[Mapping[str, Any]]]]
) -> None:
    """Replaces all routes: (listener rows, routes) pairs.

    A route has `pool` (a row) and any of `sni` (a name, "*" or "*.name"), `alpn`, `source` (a
    network) and `percent`; `goes_on`: the next is the same route in other words, and shares its
    luck. Raises ValueError if they are too many; then nothing has changed."""
