#!/usr/bin/env python3
"""Side by side: no balancer, l4lb, HAProxy and nginx, one worker each, in interleaved rounds.

    .venv/bin/python bench/compare.py --rounds 5 --seconds 2 --record

Every round measures every balancer with every test. The order rotates, so that a change of the
machine's speed affects all balancers alike. Client, balancer and server share the machine. Nothing
is pinned to a CPU except what a balancer pins itself. Only ratios within one run can be compared;
see docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import re
import shlex
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
if str(TOP) not in sys.path:
    sys.path[0] = str(TOP)  # why: beside this script are names of the standard library

from bench.lib import report  # noqa: E402 - the tree is not a package that is installed
from bench.lib.measures import TESTS, Generator, measure  # noqa: E402
from bench.lib.results import RESULTS, record  # noqa: E402
from bench.lib.targets import Target, default_l4lb, known, running  # noqa: E402


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds")
    parser.add_argument("--seconds", type=float, default=2.0, help="duration of each test")
    parser.add_argument(
        "--only", choices=TESTS, action="append", help="run only this test (repeatable)"
    )
    parser.add_argument("--peers", default="haproxy,nginx", help="balancers to compare with")
    parser.add_argument("--l4lb", default=default_l4lb(), help="path of the l4lb program")
    parser.add_argument("--json", metavar="FILE", help="write the figures of every round")
    parser.add_argument("--plot", metavar="FILE", help="draw the medians (PNG)")
    parser.add_argument("--record", action="store_true", help=f"rewrite {RESULTS.name}'s table")
    return parser.parse_args(argv)


def _loadgen() -> str:
    program = Path(sysconfig.get_path("purelib")) / "l4lb" / "bin" / "l4lb-loadgen"
    if not program.is_file():
        raise SystemExit("the load generator is not built: run scripts/test or scripts/run once")
    return str(program)


def _round(
    targets: Sequence[Target], generator: Generator, tests: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Runs one round over the direct path and all targets."""
    found: dict[str, dict[str, float]] = {}
    for target in (None, *targets):
        name = target.name if target else report.DIRECT
        found[name] = {}
        with generator.server() as backend:
            for test in tests:
                if target is None:
                    found[name] |= measure(generator, backend, None, test)
                    continue
                with running(target, backend) as run:
                    found[name] |= measure(generator, run.port, run, test)
    return found


def about(
    script: str, options: argparse.Namespace, targets: Sequence[Target], argv: Sequence[str]
) -> str:
    """Returns what a reader must know of a run: its command, machine, rounds and programs."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    cores = Path("/proc/cpuinfo").read_text().count("processor\t")
    versions = "; ".join(f"{one.name}: {one.version()}" for one in targets)
    command = f"python {script} " + shlex.join(argv)
    return (
        f"`{command.strip()}` on {datetime.datetime.now(datetime.UTC):%Y-%m-%d}, kernel "
        f"{platform.release()}, {cpu.group(1) if cpu else '?'}, {cores} cores shared by client, "
        f"balancer and server. {options.rounds} rounds, {options.seconds:g} s a test. {versions}."
    )


def main(argv: Sequence[str]) -> int:
    """Runs the comparison and prints its table. Returns the exit status."""
    options = _options(argv)
    peers = options.peers.split(",")
    targets = [one for one in known(options.l4lb) if one.name in ("l4lb", *peers)]
    for missing in [one for one in targets if not one.available()]:
        print(f"not installed, left out: {missing.program}", file=sys.stderr)
        targets.remove(missing)
    generator = Generator(_loadgen(), options.seconds)
    tests = options.only or list(TESTS)
    rounds: dict[str, list[dict[str, float]]] = {report.DIRECT: []}
    rounds |= {one.name: [] for one in targets}
    for number in range(options.rounds):
        turn = number % len(targets)
        for name, found in _round(targets[turn:] + targets[:turn], generator, tests).items():
            rounds[name].append(found)
        print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)
    values = report.medians(rounds)
    told = about("bench/compare.py", options, targets, argv)
    shown = report.table(values)
    print(told, "", shown, sep="\n")
    if options.json:
        Path(options.json).write_text(
            json.dumps({"about": told, "medians": values, "rounds": rounds}, indent=1)
        )
    if options.plot:
        report.plot(values, options.plot)
    if options.record:
        record("comparison", f"{told}\n\n{shown}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
