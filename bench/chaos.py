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

import argparse
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
if str(TOP) not in sys.path:
    sys.path[0] = str(TOP)  # why: beside this script are names of the standard library

from bench.lib.results import RESULTS, record  # noqa: E402 - the tree is not a package
from tests.e2e.harness.chaos import Outcome, run  # noqa: E402

ROUNDS = 40  # events in one pair of phases
SHOWN = 20  # lines of what was wrong


def text(outcome: Outcome, minutes: float, seed: int) -> str:
    """Returns the section of RESULTS.md."""
    facts = "\n".join(f"- {line}" for line in outcome.lines())
    wrong = "\n".join(f"- {line}" for line in outcome.wrong[:SHOWN]) or "- nothing"
    if len(outcome.wrong) > SHOWN:
        wrong += f"\n- and {len(outcome.wrong) - SHOWN} more"
    return (
        f"`python bench/chaos.py --minutes {minutes:g} --seed {seed}` on"
        f" {time.strftime('%Y-%m-%d')}, kernel {platform.release()}:"
        f"\n\n{facts}\n\nWrong:\n\n{wrong}"
    )


def main(argv: Sequence[str]) -> int:
    """Runs the chaos and prints the outcome. Returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="duration")
    parser.add_argument("--seed", type=int, default=1, help="seed of all random choices")
    parser.add_argument("--record", action="store_true", help=f"rewrite {RESULTS.name}'s part")
    options = parser.parse_args(argv)
    until = time.monotonic() + options.minutes * 60

    def goes_on() -> bool:
        left_s = until - time.monotonic()
        print(f"{max(0, left_s):.0f} s are left", file=sys.stderr)
        return left_s > 0

    outcome = run(options.seed, ROUNDS, goes_on=goes_on)
    shown = text(outcome, options.minutes, options.seed)
    print(shown)
    if options.record:
        record("chaos", shown, title="Chaos")
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
