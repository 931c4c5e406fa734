#!/usr/bin/env python3
"""A soak of HTTP: checks that no answer is wrong or mixed up, and that everything is released.

    .venv/bin/python bench/http_soak.py --minutes 10 --record

Its parts are in tests/e2e/harness/http_soak. Clients of HTTP/1.0, HTTP/1.1, HTTP/2 and of upgraded
connections compare every byte. Hostile clients do their worst. Meanwhile workers and origins are
killed, and the service is reloaded, rebalanced and upgraded. The exit status is 1 if anything was
wrong. It does not measure speed.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
if str(TOP) not in sys.path:
    sys.path[0] = str(TOP)  # why: beside this script are names of the standard library

from bench.lib.soak import Soak  # noqa: E402 - the tree is not a package
from tests.e2e.harness.http_soak import Outcome, run  # noqa: E402
from tests.e2e.harness.soak.course import listed  # noqa: E402
from tests.e2e.harness.soak.leftovers import MIB  # noqa: E402


def requests(outcome: Outcome) -> str:
    """Returns a table of requests by kind of client."""
    tally = outcome.tally
    failed = Counter(one.kind for one in tally.failed)
    again = Counter(one.kind for one in tally.again)
    rows = [(kind, count, failed[kind], again[kind]) for kind, count in sorted(tally.done.items())]
    rows.append(("all", tally.done.total(), failed.total(), again.total()))
    head = "| client | answered | failed | may be sent again |\n| --- | --- | --- | --- |\n"
    return head + "\n".join(f"| {kind} | {a:,} | {b} | {c} |" for kind, a, b, c in rows)


def causes(outcome: Outcome) -> str:
    """Returns a table of failures by the event that explains them."""
    rows = sorted(outcome.causes.items())
    head = "| requests failed because | requests |\n| --- | --- |\n"
    return head + "\n".join(f"| {why} | {count} |" for why, count in rows)


def processes(outcome: Outcome) -> str:
    """Returns a table of what processes had before and after."""
    head = "| process | descriptors before, after | MiB before, after |\n| --- | --- | --- |\n"
    both = [(title, outcome.began.get(title), now) for title, now in outcome.ended.items()]
    return head + "\n".join(
        f"| {title} | {was.total}, {now.total} | {was.rss / MIB:.1f}, {now.rss / MIB:.1f} |"
        for title, was, now in sorted(both, key=lambda row: row[0])
        if was is not None
    )


def text(outcome: Outcome) -> str:
    """Returns a list of the facts, and the tables."""
    tables = "\n\n".join((requests(outcome), causes(outcome), processes(outcome)))
    return (
        f"- {outcome.seconds:.0f} s, {outcome.tally.bytes:,} bytes of bodies compared"
        f"\n- events: {listed(outcome.events)}"
        f"\n- hostile acts: {listed(outcome.acts)}"
        f"\n\n{tables}"
    )


def http_soak(seed: int, left_s: Callable[[], float]) -> Outcome:
    """Runs the soak until the time is over."""
    return run(seed, goes_on=lambda: left_s() > 0)


SOAK = Soak("http_soak", "HTTP soak", (__doc__ or "").splitlines()[0], 10.0, http_soak, text)

if __name__ == "__main__":
    sys.exit(SOAK.main(sys.argv[1:]))
