"""Health in the shared table; see health.pyx."""

from collections.abc import Mapping
from typing import Any, Self

from l4lb.native.results import HealthRow
from l4lb.native.table import Table

def end_ejection(table: Table, index: int, serial: int, *, since_ms: int, now_ms: int) -> bool:
    """For the checker: ends an ejection that began before since_ms. Returns False if there is
    none."""

def set_health(
    table: Table, index: int, serial: int, *, health: str, agent: str, at_ms: int
) -> bool:
    """For the checker: sets a backend's health when no result of a check does."""

def set_weight_change(table: Table, index: int, serial: int, percent: int) -> bool:
    """For the checker: sets the change of a backend's weight in percent. Returns False if it is
    unchanged."""

def set_told(table: Table, index: int, health: str) -> None:
    """Returns a backend's health and what led to it; None: the row is free."""

def exported(table: Table, index: int) -> dict[str, Any]:
    """Returns all health data of a backend as plain data, for restore."""

def restore(table: Table, index: int, known: Mapping[str, Any]) -> None:
    """Writes the data of exported into a row, before any other process runs."""

class Watch:
    """The rows that have changed since the last look. A look is cheap, however many rows there
    are."""

    def __new__(cls, table: Table) -> Self: ...
    def changed(self, now_ms: int) -> list[int]:
        """Returns rows that were assigned, removed or reconfigured, or whose health differs from
        the one reported."""

def health(table: Table, index: int) -> HealthRow | None:
    """What is known of a backend's health; None: the row is free."""
