#!/usr/bin/env python3
"""Duration of a scrape: the metrics of a table with many backends and workers, rendered often.

.venv/bin/python bench/scrape.py --backends 1000 --workers 8 --record
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

from l4lb.metrics.collector import About, Collector
from l4lb.native import counts, session_stats
from l4lb.native.rows import Address
from l4lb.native.table import Table

TOP = Path(__file__).resolve().parent.parent
if str(TOP) not in sys.path:
    sys.path[0] = str(TOP)  # why: beside this script are names of the standard library

from bench.lib.results import RESULTS, record  # noqa: E402 - not a package that is installed

POOLS = 10
MEASURED = {  # of one session
    "measures": {
        name: {"sum": 100, "counts": [1, *[0] * len(session_stats.bounds(name))]}
        for name in session_stats.MEASURES
    },
    "retransmits": [0, 0],
    "sampled": 1,
}


def table_of(backends: int, workers: int) -> Table:
    """Returns a table with these numbers of backends and workers. Every pool has had sessions."""
    table = Table((64, 64, 64, backends, 64))
    for index in range(POOLS):
        table.set_pool(
            index, name=f"pool{index}", balance="round_robin", when_all_down="refuse", retries=0,
            connect_timeout_ms=1, idle_timeout_ms=1, half_closed_timeout_ms=1,
        )  # fmt: skip
    for index in range(backends):
        address = Address(f"10.{index >> 16}.{index >> 8 & 255}.{index & 255}", 80)
        table.set_backend(
            index, pool=index % POOLS, name=str(address), address=address, weight=1,
            max_connections=0, backup=False, health="up",
        )  # fmt: skip
    session_stats.set_measures(table, True)
    for worker in range(workers):
        table.start_worker(worker, pid=0, cpu=None, now_ms=0)
        for pool in range(POOLS):
            counts.book_backend(table, pool, [1, 0, 0, 0, 0])
            counts.book_pool(table, pool, MEASURED)
    return table


def main() -> int:
    """Prints the median and the maximum of many scrapes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backends", type=int, default=1_000, help="number of backends")
    parser.add_argument("--workers", type=int, default=8, help="number of workers")
    parser.add_argument("--rounds", type=int, default=50, help="number of rounds")
    parser.add_argument("--record", action="store_true", help=f"rewrite {RESULTS.name}'s part")
    options = parser.parse_args()
    collector = Collector(table_of(options.backends, options.workers), About("bench", 0, 3_000))
    times = []
    size = 0
    for _ in range(options.rounds):
        started = time.perf_counter()
        size = len(collector.render("")[0])
        times.append((time.perf_counter() - started) * 1_000)
    text = (
        f"`python bench/scrape.py --backends {options.backends} --workers {options.workers}`:"
        f" {options.rounds} scrapes, median {statistics.median(times):.1f} ms, worst"
        f" {max(times):.1f} ms (target: under 150 ms), {size / 1e6:.2f} MB of text each."
    )
    print(text)
    if options.record:
        record("scrape", text, title="A scrape")
    return 0


if __name__ == "__main__":
    sys.exit(main())
