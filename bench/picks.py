"""Speed of choices: picks per second of each algorithm, and the time to build a Maglev table.

    .venv/bin/pytest bench/picks.py -p no:xdist -q --benchmark-columns=median,rounds

A pick here is complete: the choice of a backend, the place taken there, and the place given back.
Thousands of picks run in C (csrc/core/simulate.h). A Maglev table is built as the supervisor builds
it, with all other work of a change of membership.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from l4lb.native import choose
from l4lb.native.rows import BALANCES, Address
from l4lb.native.table import Table

SIZES = (3, 100, 4_000)
WALKS = ("least_connections", "least_response_time")  # these look at every backend


def pool_of(backends: int, balance: str, maglev_size: int) -> Table:
    """Returns a table with one pool; all its backends are equal and usable."""
    table = Table((1, 1, 1, backends, 1))
    table.set_pool(
        0,
        name="web",
        balance=balance,
        when_all_down="refuse",
        retries=0,
        connect_timeout_ms=1,
        idle_timeout_ms=1,
        half_closed_timeout_ms=1,
        maglev_size=maglev_size,
    )
    for row in range(backends):
        table.set_backend(
            row,
            pool=0,
            name=f"10.0.{row // 250}.{row % 250}:80",
            address=Address("10.0.0.1", 80),
            weight=1,
            max_connections=0,
            backup=False,
            health="up",
        )
    table.publish(0)
    return table


@pytest.mark.parametrize("backends", SIZES)
@pytest.mark.parametrize("balance", BALANCES)
def test_picks(benchmark: Any, balance: str, backends: int) -> None:
    table = pool_of(backends, balance, 65_537 if balance == "maglev" else 0)
    count = 200_000 if balance not in WALKS else max(1_000, 2_000_000 // backends)
    now_ms = time.monotonic_ns() // 1_000_000
    benchmark.group = f"picks, {backends} backends"
    benchmark.pedantic(lambda: choose.picks(table, 0, count, now_ms), rounds=5, warmup_rounds=1)
    benchmark.extra_info["ns_per_pick"] = round(benchmark.stats.stats.median / count * 1e9, 1)
    print(f"\n{balance:20} {backends:5} {benchmark.extra_info['ns_per_pick']:10.1f} ns a pick")


@pytest.mark.parametrize("slots", [65_537, 655_373])
def test_maglev_build(benchmark: Any, slots: int) -> None:
    table = pool_of(1_000, "maglev", slots)
    benchmark.group = "Maglev table of 1,000 backends"
    benchmark.pedantic(lambda: table.publish(0), rounds=10, warmup_rounds=1)
    print(f"\nmaglev {slots:7} slots {benchmark.stats.stats.median * 1e3:8.2f} ms")
