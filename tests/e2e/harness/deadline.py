"""Waits, with a limit, for something to become true: the only clock that the tests read."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Factor for all time limits: a build with sanitizers is slow.
SLOWNESS = float(os.environ.get("L4LB_SLOWNESS", "1"))

# why: the limit is generous. It finds what hangs, not what is slow.
_USUAL_S = 20.0
PATIENCE_S = _USUAL_S * SLOWNESS


class TooLateError(AssertionError):
    """The awaited event did not happen in time."""


def until(
    probe: Callable[[], T | None],
    what: str,
    *,
    timeout_s: float = _USUAL_S,
    every_s: float = 0.02,
) -> T:
    """Calls `probe` until it returns something true, and returns that.

    Raises TooLateError, naming `what` and the last answer, after `timeout_s`, times SLOWNESS.
    """
    end = time.monotonic() + timeout_s * SLOWNESS
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() >= end:
            raise TooLateError(f"not within {timeout_s:g} s: {what}; last answer: {answer!r}")
        time.sleep(every_s)
