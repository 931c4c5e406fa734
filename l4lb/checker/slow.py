"""Gray failures: a backend that is much slower than the others loses weight, step by step.

It is not ejected, because it works. Each step judges its recent answers. A backend that is as fast
as the others again gets its weight back, more slowly than it lost it. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import TypeVar

Key = TypeVar("Key")

EVERY_MS = 1_000
LOSS = 0.7  # part of the weight left after a step, in tens of percent: a short schedule
GAIN_PERCENT = 10  # part of the whole weight that a step gives back
LEAST_PERCENT = 10  # part of the weight that is never taken
FLOOR_US = 1_000  # smaller differences are noise of the machine


def steps(
    answers_us: Mapping[Key, int], shares: Mapping[Key, int], factor: float
) -> dict[Key, int]:
    """Returns the next share of each backend, in percent of its weight. answers_us: recent response
    times, 0 for not known. shares: the present ones, 100 if missing."""
    found = {}
    known = sorted(us for us in answers_us.values() if us)
    for key, us in answers_us.items():
        share = shares.get(key, 100)
        others = known.copy()
        if us:
            others.remove(us)
        if us and others and is_slow(us, median(others), factor):
            found[key] = max(LEAST_PERCENT, int(share * LOSS) // 10 * 10)
        else:
            found[key] = min(100, share + GAIN_PERCENT)
    return found


def is_slow(us: float, others_us: float, factor: float) -> bool:
    """True if us is so far above the others that it is not noise."""
    return us > factor * others_us and us - others_us > FLOOR_US
