#!/usr/bin/env python3
"""Caches side by side: l4lb, HAProxy, nginx and Varnish, in interleaved rounds.

    .venv/bin/python bench/cache.py --rounds 5 --seconds 3 --record

A hit is measured: the processor time of all threads of all processes of a cache for each request
that it answers from memory; "l4lb on disk" and nginx answer 1 MB out of a file. Client (wrk) and
cache share the machine, so only ratios within one run can be compared. Then the hit ratio of the
store (S3-FIFO) is computed beside that of LRU, for seeded requests by Zipf's law without and with a
scan.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
if str(TOP) not in sys.path:
    sys.path[0] = str(TOP)  # why: beside this script are names of the standard library

from bench.compare import about  # noqa: E402 - the tree is not a package that is installed
from bench.http import Job, ask, cpu_us  # noqa: E402
from bench.lib.cache_targets import (  # noqa: E402
    CachedHaproxy,
    CachedL4lb,
    CachedNginx,
    CachedVarnish,
    OnDiskL4lb,
    forget,
    origin,
)
from bench.lib.http_targets import Proxy  # noqa: E402
from bench.lib.results import RESULTS, record  # noqa: E402
from bench.lib.targets import default_l4lb, running  # noqa: E402

SIZES = {"/64": 64, "/16k": 16 << 10, "/1m": 1_000_000}
JOBS = {
    "64 B": Job("64 B", "/64"),
    "16 KiB": Job("16 KiB", "/16k"),
    "1 MB": Job("1 MB", "/1m", connections=16),
}
TARGETS = {
    "haproxy": {"64 B": 0.75, "16 KiB": 0.6},
    "nginx": {"64 B": 0.5, "16 KiB": 0.5},
    "varnish": {"64 B": 0.35},
}
MEMORY, OBJECT, OBJECTS, REQUESTS = 32 << 20, 4096, 100_000, 1_000_000
SCANS = (0, 10, 30)  # percent of the requests
SOURCES = ("bench/lib/hit_ratio.c", "csrc/cache/store.c", "csrc/cache/find.c", "csrc/base/hash.c")


def measure(target: Proxy, seconds: int) -> dict[str, float]:
    """Measures one cache in one round."""
    found: dict[str, float] = {}
    with running(target, target.servers[0]) as run:
        try:
            for name, job in JOBS.items():
                ask(run.port, job, 1)  # it is stored now
                before = cpu_us(run)
                got = ask(run.port, job, seconds)
                found[f"{name} us"] = (cpu_us(run) - before) / got["requests"]
                found[f"{name} rate"] = got["rate"]
                found[f"{name} errors"] = got["errors"]
        finally:
            forget(run.folder)
    return found


def table(rounds: dict[str, list[dict[str, float]]]) -> str:
    """Returns the table of medians, with l4lb as a part of each peer."""
    peers = [name for name in rounds if name != "l4lb"]
    heads = [*rounds, *(f"l4lb / {name}" for name in peers)]
    lines = ["| | " + " | ".join(heads) + " |", "| --- |" + " ---: |" * len(heads)]

    def middle(name: str, key: str) -> float:
        return statistics.median(one[key] for one in rounds[name])

    for job in JOBS:
        key = f"{job} us"
        cells = [
            f"{middle(name, key):.1f} ({min(values):.1f}-{max(values):.1f})"
            for name, of in rounds.items()
            if (values := [one[key] for one in of])
        ]
        for name in peers:
            part = f"{middle('l4lb', key) / middle(name, key):.2f}"
            target = TARGETS.get(name, {}).get(job)
            cells.append(f"{part} (target {target:g})" if target else part)
        lines.append(f"| a hit of {job}: CPU us | {' | '.join(cells)} |")
        for unit in ("rate", "errors"):
            told = [f"{middle(name, f'{job} {unit}'):,.0f}" for name in rounds]
            word = "requests/s" if unit == "rate" else unit
            lines.append(f"| a hit of {job}: {word} | {' | '.join(told + [''] * len(peers))} |")
    return "\n".join(lines)


def ratios() -> str:
    """Returns the table of hit ratios."""
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/hit_ratio"
        flags = ["-std=c11", "-O2", "-D_GNU_SOURCE", "-Icsrc"]
        subprocess.run(["cc", *flags, *SOURCES, "-lm", "-o", program], cwd=TOP, check=True)
        lines = [
            (
                f"Hit ratio of {REQUESTS:,} requests for {OBJECTS:,} objects of {OBJECT} bytes "
                f"(Zipf, exponent 1) with {MEMORY >> 20} MiB of memory; the scan asks for other "
                "objects, each once."
            ),
            "",
            "| requests of the scan | l4lb's store (S3-FIFO) | LRU |",
            "| --- | ---: | ---: |",
        ]
        for scan in SCANS:
            numbers = [MEMORY, OBJECT, OBJECTS, REQUESTS, scan, 1]
            done = subprocess.run(
                [program, *map(str, numbers)], capture_output=True, text=True, check=True
            )
            ours, lru = map(float, done.stdout.split())
            lines.append(f"| {scan} % | {ours:.1%} | {lru:.1%} |")
    return "\n".join(lines)


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds")
    parser.add_argument("--seconds", type=int, default=3, help="duration of each test")
    parser.add_argument("--peers", default="haproxy,nginx,varnish", help="what to compare with")
    parser.add_argument("--l4lb", default=default_l4lb(), help="path of the l4lb program")
    parser.add_argument("--record", action="store_true", help=f"rewrite {RESULTS.name}'s table")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Runs the rounds and prints both tables. Returns the exit status."""
    options = _options(argv)
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed: apt-get install wrk")
    with origin(SIZES) as port:
        known: list[Proxy] = [
            CachedL4lb("l4lb", options.l4lb, (port,)),
            OnDiskL4lb("l4lb on disk", options.l4lb, (port,)),
            CachedHaproxy("haproxy", "haproxy", (port,)),
            CachedNginx("nginx", "nginx", (port,)),
            CachedVarnish("varnish", "varnishd", (port,)),
        ]
        ours = ("l4lb", "l4lb on disk")
        targets = [one for one in known if one.name in (*ours, *options.peers.split(","))]
        for missing in [one for one in targets if not one.available()]:
            print(f"not installed, left out: {missing.program}", file=sys.stderr)
            targets.remove(missing)
        rounds: dict[str, list[dict[str, float]]] = {one.name: [] for one in targets}
        for number in range(options.rounds):
            turn = number % len(targets)
            for target in targets[turn:] + targets[:turn]:
                rounds[target.name].append(measure(target, options.seconds))
            print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)
    shown = f"{about('bench/cache.py', options, targets, argv)}\n\n{table(rounds)}\n\n{ratios()}"
    print(shown)
    if options.record:
        record("cache", shown, title="Cache")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
