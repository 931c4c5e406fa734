"""A soak as a program: runs it for some minutes, prints the outcome, and records it."""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from bench.lib.results import RESULTS, record
from tests.e2e.harness.soak.course import Outcome

SHOWN = 20  # lines of what was wrong
Its = TypeVar("Its", bound=Outcome)


@dataclass(frozen=True)
class Soak(Generic[Its]):
    """A soak. name: of its script, and of its section in RESULTS.md. about: what it is for, in a
    line. run: runs it by a seed while the time that is left, in seconds, is above 0. text: tells of
    an outcome, for RESULTS.md."""

    name: str
    title: str
    about: str
    minutes: float
    run: Callable[[int, Callable[[], float]], Its]
    text: Callable[[Its], str]

    def main(self, argv: Sequence[str]) -> int:
        """Runs the soak and prints the outcome. Returns the exit status: 1 if anything was
        wrong."""
        parser = argparse.ArgumentParser(description=self.about)
        parser.add_argument("--minutes", type=float, default=self.minutes, help="duration")
        parser.add_argument("--seed", type=int, default=1, help="seed of all random choices")
        parser.add_argument("--record", action="store_true", help=f"rewrite {RESULTS.name}'s part")
        options = parser.parse_args(argv)
        end = time.monotonic() + options.minutes * 60
        outcome = self.run(options.seed, lambda: end - time.monotonic())
        shown = self._section(outcome, options.minutes)
        print(shown)
        if options.record:
            record(self.name, shown, title=self.title)
        return 1 if outcome.wrong else 0

    def _section(self, outcome: Its, minutes: float) -> str:
        """Returns the section of RESULTS.md."""
        wrong = "\n".join(f"- {line}" for line in outcome.wrong[:SHOWN]) or "- nothing"
        if len(outcome.wrong) > SHOWN:
            wrong += f"\n- and {len(outcome.wrong) - SHOWN} more"
        return (
            f"`python bench/{self.name}.py --minutes {minutes:g} --seed {outcome.seed}` on"
            f" {time.strftime('%Y-%m-%d')}, kernel {platform.release()}:"
            f"\n\n{self.text(outcome)}\n\nWrong:\n\n{wrong}"
        )
