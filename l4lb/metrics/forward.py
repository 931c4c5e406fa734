"""The values of the metrics of forward proxies; forward_names.py has their names."""

from __future__ import annotations

from l4lb import tally
from l4lb.metrics.exposition import Scrape


def add(scrape: Scrape, fd: int) -> None:
    """Adds the samples. fd: of the policy's tally; -1: there is none."""
    told = tally.read(fd) if fd >= 0 else {}
    for result, count in told.get("results", {}).items():
        scrape.add("l4lb_policy_questions_total", count, result)
    for name, verdicts in told.get("requests", {}).items():
        for verdict, count in verdicts.items():
            scrape.add("l4lb_forward_requests_total", count, name, verdict)
    for name, one in told.get("lists", {}).items():
        scrape.add("l4lb_list_entries", one["entries"], name)
    for name, count in told.get("hits", {}).items():
        scrape.add("l4lb_list_hits_total", count, name)
