#!/usr/bin/env python3
"""A soak of HTTP: checks that no answer is wrong or mixed up, and that everything is released.

    .venv/bin/python bench/http_soak.py --minutes 10 --record

Its parts are in tests/e2e/harness/http_soak. Clients of HTTP/1.0, HTTP/1.1, HTTP/2 and of upgraded
connections compare every byte. Hostile clients do their worst. Meanwhile workers and origins are
killed, and the service is reloaded, rebalanced and upgraded. The exit status is 1 if anything was
wrong. It does not measure speed.
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
from tests.e2e.harness.http_soak import Outcome, run  # noqa: E402

ROUNDS = 30  # events in one pair of phases


def text(outcome: Outcome, minutes: float, seed: int) -> str:
    """Returns the section of RESULTS.md."""
    facts = "\n".join(f"- {line}" for line in outcome.lines())
    wrong = "\n".join(f"- {line}" for line in outcome.wrong[:20]) or "- nothing"
    return (
        f"`python bench/http_soak.py --minutes {minutes:g} --seed {seed}` on"
        f" {time.strftime('%Y-%m-%d')}, kernel {platform.release()}:"
        f"\n\n{facts}\n\nWrong:\n\n{wrong}"
    )


def main(argv: Sequence[str]) -> int:
    """Runs the soak and prints the outcome. Returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="duration")
    parser.add_argument("--seed", type=int, default=1, help="seed of all random choices")
    parser.add_argument("--record", action="store_true", help=f"rewrite {RESULTS.name}'s part")
    options = parser.parse_args(argv)
    until = time.monotonic() + options.minutes * 60
    outcome = run(options.seed, ROUNDS, goes_on=lambda: time.monotonic() < until)
    shown = text(outcome, options.minutes, options.seed)
    print(shown)
    if options.record:
        record("http_soak", shown, title="HTTP soak")
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
