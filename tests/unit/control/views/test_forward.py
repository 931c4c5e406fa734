"""Forward proxies as the dashboard shows them."""

from __future__ import annotations

import mmap
import os

from l4lb import tally
from l4lb.control.views import forward


def test_what_the_policy_process_wrote_is_shown_with_its_age() -> None:
    told = {
        "requests": {"office": {"allow": 5, "deny": 2, "private": 1, "auth": 1}},
        "lists": {"ads": {"entries": 7, "age_s": 3}},
        "hits": {"ads": 2},
        "results": {"allow": 1},
        "pid": 7,
        "at_ms": 900,
        "asked": 4,
        "answered": 3,
        "waiting": 1,
    }
    fd = tally.make("test")
    try:
        assert forward.shown(fd, 1_000) == {"forwards": [], "lists": [], "policy": None}
        with mmap.mmap(fd, tally.BYTES) as area:
            tally.write(area, told)
        found = forward.shown(fd, 1_000)
    finally:
        os.close(fd)
    (one,) = found["forwards"]
    assert (one["forward"], one["requests"], one["refused"]) == ("office", 9, 3)
    assert found["lists"] == [{"list": "ads", "entries": 7, "age_s": 3, "hits": 2}]
    assert (found["policy"]["pid"], found["policy"]["age_ms"]) == (7, 100)


def test_a_service_without_forward_proxies_shows_none() -> None:
    assert forward.shown(-1, 1) == {"forwards": [], "lists": [], "policy": None}
