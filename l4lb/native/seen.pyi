"""What has been seen of sessions, from Python; see seen.pyx and csrc/shm/seen.h."""

from l4lb.native.table import Table

SHARE_WHOLE: int
"""All of them, as a share."""

def set_measures(table: Table, on: bool) -> None:
    """Are histograms kept?"""

def set_log_rule(
    table: Table,
    *,
    on: bool,
    errors_only: bool = False,
    share: int = 65536,
    min_duration_ms: int = 0,
) -> None:
    """Which ended sessions come into the log; share is of 65536."""

def log_counts(table: Table) -> tuple[int, int, int, int]:
    """(written, lost, failures, dropped): lines written, lost by the writer, failed writes, and
    records that found no place in a ring."""

class LogReader:
    """The one reader of the rings of ended sessions: reads lines, and takes them when told to."""

    style: str
    """text or json"""

    def __init__(self, table: Table, *, style: str) -> None: ...
    def read(self, limit: int) -> list[bytes]:
        """Up to about `limit` lines; they stay in the rings until commit."""
    def commit(self, written: int, *, lost: int = 0) -> None:
        """Takes what was read out of the rings; `written` lines were, `lost` were given up."""
    def failed(self) -> None:
        """Counts a write that failed."""
    def still_open(self, since_ms: int, now_ms: int, every_ms: int, limit: int) -> list[bytes]:
        """Lines of live sessions whose age became a multiple of every_ms after since_ms, by
        CLOCK_MONOTONIC; at most `limit`."""

MEASURES: tuple[str, ...]
"""What is measured of each session: times in microseconds, bytes."""

def bounds(measure: str) -> list[int]:
    """The upper bounds of a measure's buckets but the last, which has none: us or bytes."""

def ledger(
    table: Table, pool: int
) -> tuple[dict[str, tuple[int, list[int]]], tuple[int, int], int]:
    """What was measured of a pool's sessions, over all workers: ({measure: (sum, counts)},
    (retransmits to clients, to backends), sampled sessions). Counts are a bucket's own."""

def ends(table: Table, listener: int) -> dict[str, int]:
    """How a bound address's sessions ended, over all workers: {reason: count}, none without."""
