"""What health needs of the shared table beside its rows; see health.pyx and csrc/shm/health.h."""

from collections.abc import Mapping
from typing import Any, Self

from l4lb.native.results import HealthRow
from l4lb.native.table import Table

def end_ejection(table: Table, index: int, serial: int, *, since_ms: int, now_ms: int) -> bool:
    """The checker's: ends an ejection that began before since_ms. False: there is none."""

def set_health(
    table: Table, index: int, serial: int, *, health: str, agent: str, at_ms: int
) -> bool:
    """The checker's: the word on a backend when it is not a check's result that says it."""

def set_weight_change(table: Table, index: int, serial: int, percent: int) -> bool:
    """The checker's: how much more or less than its weight a backend gets. False: no change."""

def set_told(table: Table, index: int, health: str) -> None:
    """The checker's: the health that was last told of as an event."""

def exported(table: Table, index: int) -> dict[str, Any]:
    """All that is known of a backend's health, as plain data; restore puts it elsewhere."""

def restore(table: Table, index: int, known: Mapping[str, Any]) -> None:
    """Puts what exported gave into a row, before any other process runs."""

class Watch:
    """Which rows changed since one looked last: cheap to ask often, however many there are."""

    def __new__(cls, table: Table) -> Self: ...
    def changed(self, now_ms: int) -> list[int]:
        """Rows that were given, taken, reconfigured, or whose health is not the one told."""

def health(table: Table, index: int) -> HealthRow | None:
    """What is known of a backend's health; None: the row is free."""
