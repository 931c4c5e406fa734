#!/usr/bin/env python3
"""The whole service in chaos: checks that no byte is ever wrong, and that everything is released.

    .venv/bin/python bench/chaos.py --minutes 60 --record

tests/e2e/hardening/test_chaos.py does this for minutes (tests/e2e/harness/chaos). Honest clients
over every kind of listener compare every byte. Hostile clients do their worst. Meanwhile workers
are killed and stopped, helpers die, and the service is reloaded, rebalanced and upgraded. The
program reports what was done and what went wrong. The exit status is 1 if anything was wrong. It
does not measure speed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
if str(TOP) not in sys.path:
    sys.path[0] = str(TOP)  # why: beside this script are names of the standard library

from bench.lib.soak import Soak  # noqa: E402 - the tree is not a package
from tests.e2e.harness.chaos import Outcome, run  # noqa: E402

ROUNDS = 40  # events in one pair of phases


def chaos(seed: int, left_s: Callable[[], float]) -> Outcome:
    """Runs pairs of phases until the time is over, and tells after each how much is left."""

    def goes_on() -> bool:
        left = left_s()
        print(f"{max(0, left):.0f} s are left", file=sys.stderr)
        return left > 0

    return run(seed, ROUNDS, goes_on=goes_on)


def text(outcome: Outcome) -> str:
    """Returns a list of the facts."""
    return "\n".join(f"- {line}" for line in outcome.lines())


SOAK = Soak("chaos", "Chaos", (__doc__ or "").splitlines()[0], 60.0, chaos, text)

if __name__ == "__main__":
    sys.exit(SOAK.main(sys.argv[1:]))
