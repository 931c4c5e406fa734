#!/usr/bin/env python3
"""The cost of observability, one worker each, in interleaved rounds.

    .venv/bin/python bench/seeing.py --rounds 7 --seconds 2 --record

The variants are l4lb without any records, with histograms and recorded choices, and with an access
log to a file as well.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

TOP = Path(__file__).resolve().parent.parent
if str(TOP) not in sys.path:
    sys.path[0] = str(TOP)  # why: beside this script are names of the standard library

from bench.compare import _loadgen  # noqa: E402 - the tree is not a package that is installed
from bench.lib.measures import Generator, measure  # noqa: E402
from bench.lib.results import RESULTS, record  # noqa: E402
from bench.lib.targets import L4lb, default_l4lb, running  # noqa: E402

TESTS = ("conn", "rr")
FIGURES = {"conn_per_second": "new connections/s", "rr_per_second": "round trips/s"}


@dataclass(frozen=True)
class Variant(L4lb):
    """l4lb with these lines in [process]; `{folder}` in them stands for its folder."""

    lines: str = ""

    def command(self, folder: Path, port: int, backend: int) -> list[str]:
        command = super().command(folder, port, backend)
        config = folder / "l4lb.toml"
        extra = self.lines.replace("{folder}", str(folder))
        config.write_text(config.read_text().replace("workers = 1", f"workers = 1\n{extra}"))
        return command


def variants(program: str) -> list[Variant]:
    """Returns the variants: no records, the default records, and the access log in both formats."""
    log = 'log = {{ access = "{{folder}}/access.log", access_format = "{0}" }}'
    return [
        Variant("off", program, "measure = false\nwatch_picks = 0"),
        Variant("on", program),
        Variant("text log", program, log.format("text")),
        Variant("JSON log", program, log.format("json")),
    ]


def main(argv: Sequence[str]) -> int:
    """Runs the rounds and prints the table. Returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="number of rounds")
    parser.add_argument("--seconds", type=float, default=2.0, help="duration of each test")
    parser.add_argument("--l4lb", default=default_l4lb(), help="path of the l4lb program")
    parser.add_argument("--json", metavar="FILE", help="write the figures of every round")
    parser.add_argument("--record", action="store_true", help=f"rewrite {RESULTS.name}'s part")
    options = parser.parse_args(argv)
    generator = Generator(_loadgen(), options.seconds)
    targets = variants(options.l4lb)
    rounds: dict[str, list[dict[str, float]]] = {one.name: [] for one in targets}
    for number in range(options.rounds):
        turn = number % len(targets)
        for target in targets[turn:] + targets[:turn]:
            found: dict[str, float] = {}
            with generator.server() as backend, running(target, backend) as run:
                for test in TESTS:
                    found |= measure(generator, run.port, run, test)
            rounds[target.name].append(found)
        print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)
    shown = table(rounds)
    print(shown)
    if options.json:
        Path(options.json).write_text(json.dumps(rounds, indent=1))
    if options.record:
        record(
            "seeing",
            f"`python bench/seeing.py --rounds {options.rounds} --seconds {options.seconds:g}`:"
            f" medians, and the median over the rounds of each one's ratio to `off` in its own"
            f" round.\n\n{shown}",
        )
    return 0


def table(rounds: dict[str, list[dict[str, float]]]) -> str:
    """Returns medians and ratios as a Markdown table."""
    lines = ["| | " + " | ".join(rounds) + " |", "| --- |" + " ---: |" * len(rounds)]
    for key, title in FIGURES.items():
        cells = []
        for name, measured in rounds.items():
            value = median(one[key] for one in measured)
            pairs = zip(measured, rounds["off"], strict=True)
            ratio = median(mine[key] / base[key] for mine, base in pairs)
            cells.append(f"{value:,.0f}" + (f" ({ratio:.3f})" if name != "off" else ""))
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
