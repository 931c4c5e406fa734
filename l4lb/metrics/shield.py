"""The values of the metrics of the shield."""

from __future__ import annotations

from l4lb import tally
from l4lb.metrics.exposition import Scrape
from l4lb.native.packet_rows import Counts

REASONS = ("denied", "blocked", "source_rate")


def add(scrape: Scrape, fd: int) -> None:
    """Adds the samples. fd: of the shield's tally; -1: there is none."""
    told = tally.read(fd) if fd >= 0 else {}
    for listener, numbers in told.items():
        counts = Counts(*numbers)._asdict()
        for reason in REASONS:
            scrape.add("l4lb_shield_packets_total", counts[reason], listener, reason)
            scrape.add("l4lb_shield_bytes_total", counts[f"{reason}_bytes"], listener, reason)
            scrape.add(
                "l4lb_shield_dry_run_packets_total", counts[f"dry_{reason}"], listener, reason
            )
