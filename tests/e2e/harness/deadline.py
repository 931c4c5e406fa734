"""Waiting for something to become true, with an end: the only clock the tests read."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# How many times longer than usual everything may take: a build with sanitizers is slow.
SLOWNESS = float(os.environ.get("L4LB_SLOWNESS", "1"))

# why: generous on purpose. A bound says "this hangs", never "this is slow".
_USUAL_S = 20.0
PATIENCE_S = _USUAL_S * SLOWNESS


class TooLateError(AssertionError):
    """What was waited for did not happen in its time."""


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
