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
            tally.write(area, {"results": {"allow": 4}})
            area[tally.HEAD.size] ^= 1  # its writer has died here
            assert tally.read(fd) == {"results": {"allow": 3}}
            tally.write(area, {"results": {"allow": 5}})
            assert tally.read(fd) == {"results": {"allow": 5}}
            for at in (0, tally.BYTES // 2):
                area[at + tally.HEAD.size] ^= 1
            assert tally.read(fd) == {}
    finally:
        os.close(fd)


def test_metrics_show_what_the_policy_process_counts() -> None:
    fd = tally.make("test")
    try:
        with mmap.mmap(fd, tally.BYTES) as area:
            lists = {"ads": {"entries": 7}}
            requests = {"office": {"allow": 3, "private": 1}}
            told = {"lists": lists, "requests": requests, "hits": {"ads": 2}}
            tally.write(area, {"results": {"allow": 3, "deny": 1}, **told})
        scrape = Scrape()
        forward.add(scrape, fd)
        forward.add(Scrape(), -1)
        text = str(vars(scrape))
        assert "l4lb_policy_questions_total" in text
        assert "l4lb_list_entries" in text
        assert "l4lb_forward_requests_total" in text
        assert "l4lb_list_hits_total" in text
    finally:
        os.close(fd)
