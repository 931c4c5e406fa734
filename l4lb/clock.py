"""The clock of the shared table."""

from __future__ import annotations

import time


def monotonic_ms() -> int:
    """Returns CLOCK_MONOTONIC in milliseconds."""
    return time.monotonic_ns() // 1_000_000
