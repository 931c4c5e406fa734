"""The values of the metrics of the packet path."""

from __future__ import annotations

from l4lb import tally
from l4lb.metrics.exposition import Scrape


def add(scrape: Scrape, fd: int) -> None:
    """Adds the samples. fd: of the packet path's tally; -1: there is none."""
    told = tally.read(fd) if fd >= 0 else {}
    if not told:
        return
    scrape.add("l4lb_packet_flows", told["flows"])
    scrape.add("l4lb_packet_flows_limit", told["max_flows"])
    for reason, count in told["drops"].items():
        scrape.add("l4lb_packet_dropped_total", count, reason)
