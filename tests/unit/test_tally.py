"""A map in a memory file: what is written is read, and what is half written is not."""

from __future__ import annotations

import mmap
import os

from l4lb import tally
from l4lb.metrics import forward
from l4lb.metrics.exposition import Scrape


def test_what_is_written_is_read_by_others_and_by_who_comes_later() -> None:
    fd = tally.make("test")
    try:
        assert tally.read(fd) == {}
        with mmap.mmap(fd, tally.BYTES) as area:
            tally.write(area, {"results": {"allow": 3}})
            assert tally.read(fd) == {"results": {"allow": 3}}
            tally.write(area, {"long": "x" * tally.BYTES})
            assert tally.read(fd) == {"results": {"allow": 3}}
            area[tally.HEAD.size] ^= 1  # a part of the map is another one's
            assert tally.read(fd) == {}
    finally:
        os.close(fd)


def test_metrics_show_what_the_policy_process_counts() -> None:
    fd = tally.make("test")
    try:
        with mmap.mmap(fd, tally.BYTES) as area:
            tally.write(area, {"results": {"allow": 3, "deny": 1}, "lists": {"ads": 7}})
        scrape = Scrape()
        forward.add(scrape, fd)
        forward.add(Scrape(), -1)
        text = str(vars(scrape))
        assert "l4lb_policy_questions_total" in text
        assert "l4lb_list_entries" in text
    finally:
        os.close(fd)
