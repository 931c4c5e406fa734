"""Gray failure: a backend that answers much later than the others loses weight, little by little.

It is not ejected: it works. Each step is judged anew by its recent answers, and a backend that
answers like the others again gets its weight back, more slowly than it lost it. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import TypeVar

Key = TypeVar("Key")

EVERY_MS = 1_000
LOSS = 0.7  # what is left of the weight after a step, in tens of percent: a short schedule
GAIN_PERCENT = 10  # of the whole weight that a step gives back
LEAST_PERCENT = 10  # that is never taken
FLOOR_US = 1_000  # differences below this are noise of the machine


def steps(
    answers_us: Mapping[Key, int], shares: Mapping[Key, int], factor: float
) -> dict[Key, int]:
    """The next share, in percent of its weight, of each backend. answers_us: how long each took to
    answer lately, 0 for not known; shares: the present ones, 100 where missing."""
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
    """Is it so far above the others that it is no noise?"""
    return us > factor * others_us and us - others_us > FLOOR_US
