"""The edge's door to the shared table; see edge.pyx and csrc/shm/edge.h."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from l4lb.native.table import Table

REFUSALS: tuple[str, ...]
TLVS: tuple[str, ...]
LIMITS: tuple[str, ...]

def set_listener(
    table: Table,
    listener: int,
    *,
    hello: str,
    proxy: str,
    trusted_set: int | None,
    handshake_timeout_ms: int,
    access_set: int | None,
    rules_set: int | None,
    else_denied: bool,
    refusal: str,
    dry_run: bool,
) -> None:
    """What this listener asks of a client before its backend is chosen; routes add to it."""

def set_shed(table: Table, idle_ms: int, at_limit: bool) -> None:
    """Sessions idle for so long may be ended when others find no room; 0: none. at_limit: also at
    the process-wide limit of connections."""

def set_rules(table: Table, listener: int, number: int | None) -> None:
    """The set of this listener's rules of run time; None: there are none."""

def denies(table: Table, listener: int, address: str) -> bool:
    """Is an IP address turned away by this listener's networks?"""

def set_limits(
    table: Table,
    listener: int,
    *,
    head: int,
    limits: Mapping[str, Mapping[str, Any]],
    source_prefix: tuple[int, int],
    first_byte_ms: int,
    max_age_ms: int,
    age_jitter: int,
) -> None:
    """This listener's limits: by name a dict of limit, burst, refusal and dry_run.

    head: the row that has the listener's counts, one of its own."""

def slowed(table: Table, listener: int) -> int:
    """How many sessions a limit of bandwidth has held back."""

def portless(table: Table) -> int:
    """How many connects found no free local port."""

def uncounted(table: Table) -> int:
    """How many clients found no place in the table of sources."""

def set_blocks(table: Table, *, some: bool, refusal: str, dry_refusal: str = "reject") -> None:
    """Are there blocked sources, and what is done with them? All listeners look from then on."""

def set_tarpit(table: Table, ms: int) -> None:
    """How long a tarpit holds a client."""

def set_pool(table: Table, pool: int, *, send_proxy: int, tlvs: Iterable[str]) -> None:
    """What this pool's backends are told first. send_proxy: 0 nothing, or the version."""

def dry_runs(table: Table, listener: int) -> dict[str, int]:
    """Whom rules in dry run would have turned away, by reason word."""

def publish_routes(
    table: Table, groups: Sequence[tuple[Sequence[int], Sequence[Mapping[str, Any]]]]
) -> None:
    """Replaces all routes: (listener rows, routes) pairs.

    A route has `pool` (a row) and any of `sni` (a name, "*" or "*.name"), `alpn`, `source` (a
    network) and `percent`; `goes_on`: the next is the same route in other words, and shares its
    luck. Raises ValueError if they are too many; then nothing has changed."""
