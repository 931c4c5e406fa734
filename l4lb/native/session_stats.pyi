"""The counts and the access log of sessions, from Python; see session_stats.pyx."""

from collections.abc import Sequence

from l4lb.native.table import Table

SHARE_WHOLE: int
"""All of them, as a share."""

def set_measures(table: Table, on: bool) -> None:
    """Switches histograms on or off."""

def set_log_rule(
    table: Table,
    *,
    on: bool,
    errors_only: bool = False,
    share: int = 65536,
    min_duration_ms: int = 0,
) -> None:
    """Sets which ended sessions are logged; share is of 65536."""

def log_counts(table: Table) -> tuple[int, int, int, int]:
    """Returns (written, lost, failures, dropped): lines written, lines that the writer lost, failed
    writes, and records that found no room in a ring."""

class LogReader:
    """The only reader of the rings of ended sessions and of ended requests: it reads lines, and
    removes them when told to."""

    style: str
    """text, json, combined or squid"""

    def __init__(self, table: Table, *, style: str) -> None: ...
    def set_privacy(self, *, query: bool, mask: Sequence[int]) -> None:
        """Sets what lines have: the queries of requests, and so many bits of a client's IPv4 or
        IPv6 address."""
    def read(self, limit: int) -> list[bytes]:
        """Returns up to about `limit` lines of sessions and as many of requests, in the order of
        their ends. They stay in the rings until commit."""
    def line_of(self, worker: int, end: bytes) -> bytes:
        """Returns the line of a request that a worker has told the recorder of. end: its struct
        l4_request_end. Raises ValueError."""
    def commit(self, written: int, *, lost: int = 0) -> None:
        """Removes the lines that were read from the rings. written, lost: their numbers for the
        counts."""
    def failed(self) -> None:
        """Counts a write that failed."""
    def still_open(self, since_ms: int, now_ms: int, every_ms: int, limit: int) -> list[bytes]:
        """Returns at most `limit` lines of live sessions whose age became a multiple of every_ms
        after since_ms (CLOCK_MONOTONIC)."""

MEASURES: tuple[str, ...]
"""What is measured of each session: times in microseconds, bytes."""

def bounds(measure: str) -> list[int]:
    """Returns the upper bounds of a measure's buckets, in us or bytes; the last bucket has none."""

def ledger(
    table: Table, pool: int
) -> tuple[dict[str, tuple[int, list[int]]], tuple[int, int], int]:
    """Returns a pool's histograms over all workers: ({measure: (sum, counts)}, (retransmits to
    clients, to backends), sampled sessions). Counts are for each bucket alone."""

def ends(table: Table, listener: int) -> dict[str, int]:
    """Returns how a bound address's sessions ended, over all workers: {reason: count}, without
    zeros."""
