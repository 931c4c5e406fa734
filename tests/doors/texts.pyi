"""The texts for HTTP as a worker reads them, read by a test."""

from collections.abc import Sequence
from typing import Any

from l4lb.native.table import Table

def of_listener(table: Table, listener: int, statuses: Sequence[int] = ()) -> dict[str, Any]:
    """Returns the texts of a listener's row as a dict, with the pages of these statuses."""

def of_pool(table: Table, pool: int) -> bytes:
    """Returns the host that the pool's backends are sent."""

def of_rule(table: Table, pool: int, rule: bytes) -> tuple[bytes, bytes] | None:
    """Returns type and body of the page of a rule of a forward proxy; None: it has none."""

class Reading:
    """A reader that has begun."""

    def __init__(self, table: Table) -> None: ...
    def holds(self) -> bool:
        """Returns whether what was read since is from one configuration."""
