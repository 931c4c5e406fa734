"""The values of the metrics of records; record_names.py has their names."""

from __future__ import annotations

from l4lb import tally
from l4lb.metrics.exposition import Scrape


def add(scrape: Scrape, fd: int) -> None:
    """Adds the samples. fd: of the recorder's tally; -1: there is none."""
    told = tally.read(fd) if fd >= 0 else {}
    for name, one in told.get("records", {}).items():
        for result, count in one["results"].items():
            scrape.add("l4lb_records_total", count, name, result)
        scrape.add("l4lb_record_bytes", one["bytes"], name)
    if "dropped" in told:
        scrape.add("l4lb_records_dropped_total", told["dropped"])
