"""What health needs of the shared table beside its rows; see health.pyx and csrc/shm/health.h."""

from l4lb.native.results import HealthRow
from l4lb.native.table import Table

def set_passive(
    table: Table,
    pool: int,
    *,
    failures: int,
    eject_ms: int,
    max_eject_ms: int,
    max_ejected_percent: int,
) -> None:
    """The supervisor's: a pool's rule; failures 0: nobody is ejected."""

def end_ejection(table: Table, index: int, serial: int, *, since_ms: int, now_ms: int) -> bool:
    """The checker's: ends an ejection that began before since_ms. False: there is none."""

def health(table: Table, index: int) -> HealthRow | None:
    """What is known of a backend's health; None: the row is free."""
