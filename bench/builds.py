#!/usr/bin/env python3
"""Two builds of l4lb side by side: the processor time of their workers for one unit of work.

    .venv/bin/python bench/builds.py --rounds 8 --seconds 3 old=OLD/bin/l4lb new=NEW/bin/l4lb

The builds serve at the same time and are measured in turn, so that what else the machine does
meets them all. The first one named is what the others are compared with.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import psutil

TOP = Path(__file__).resolve().parent.parent
if str(TOP) not in sys.path:
    sys.path.insert(0, str(TOP))

from bench.compare import _loadgen  # noqa: E402 - the tree is not a package that is installed
from bench.lib.measures import Generator  # noqa: E402
from bench.lib.targets import L4lb, Running, running  # noqa: E402

JOBS = {
    "round trip, 64 B over 64 (us)": ("rr", "-c", "64", "-s", "64"),
    "new connection (us)": ("conn", "-c", "64", "-s", "64"),
    "bulk (s a GB)": ("bulk", "-c", "8"),
}
NS_PER_S = 1e9


def worker_seconds(run: Running) -> float:
    """Returns the processor time that the workers have used."""
    total = 0
    for process in run.family():
        try:
            if "worker" in " ".join(process.cmdline()):
                total += int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[0])
        except (OSError, psutil.Error):
            continue  # it has ended
    return total / NS_PER_S


def unit_cost(generator: Generator, run: Running, job: Sequence[str]) -> float:
    """Runs one job. Returns the processor time for one of its units."""
    before = worker_seconds(run)
    found = generator.job(run.port, *job)
    used = worker_seconds(run) - before
    if job[0] == "bulk":
        return used / max(1e-9, found["bytes"] / 1e9)
    return used / max(1.0, found["done"]) * 1e6


def main(argv: Sequence[str]) -> int:
    """Runs the rounds and prints the table of medians. Returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8, help="number of rounds")
    parser.add_argument("--seconds", type=float, default=3.0, help="duration of each test")
    parser.add_argument("builds", nargs="+", metavar="NAME=PROGRAM", help="the builds")
    options = parser.parse_args(argv)
    builds = [L4lb(*one.split("=", 1)) for one in options.builds]
    generator = Generator(_loadgen(), options.seconds)
    found: dict[str, dict[str, list[float]]] = {
        job: {build.name: [] for build in builds} for job in JOBS
    }
    with ExitStack() as stack:
        backend = stack.enter_context(generator.server())
        runs = {one.name: stack.enter_context(running(one, backend)) for one in builds}
        for number in range(options.rounds):
            turn = number % len(builds)
            for job, arguments in JOBS.items():
                for build in builds[turn:] + builds[:turn]:
                    cost = unit_cost(generator, runs[build.name], arguments)
                    found[job][build.name].append(cost)
    names = [one.name for one in builds]
    print("| worker CPU | " + " | ".join(names) + " | ratios |")
    print("| --- |" + " ---: |" * (len(names) + 1))
    for job, costs in found.items():
        cells = [f"{median(costs[name]):.3g}" for name in names]
        ratios = [
            f"{median(b / a for a, b in zip(costs[names[0]], costs[name], strict=True)):.3f}"
            for name in names[1:]
        ]
        print(f"| {job} | " + " | ".join([*cells, ", ".join(ratios)]) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
