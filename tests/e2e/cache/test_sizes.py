"""A cache whose size changes begins empty. The memory of the one before comes back when nobody
reads from it any more."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from ..harness import Balancer, send_signal, toml, until
from ..harness.http import Peer, before, request
from ..harness.origin import Origin
from .on_disk import ask, body_of, by_target

SIZE = 4_000_000  # more than the buffers between a client and a worker take
TARGET = f"/{SIZE}/a"
CACHE = {"memory": "64MiB", "max_object": "5MiB"}


def memory(lb: Balancer) -> int:
    """Returns the bytes of memory that all caches take."""
    for one in Path(f"/proc/{lb.process.pid}/fd").iterdir():
        if "l4lb-caches" in os.readlink(one):
            return os.stat(one).st_blocks * 512
    raise AssertionError("there is no memory of caches")


def resize(lb: Balancer, mebibytes: int) -> None:
    assert lb.config is not None
    lb.config["cache"]["pages"]["memory"] = f"{mebibytes}MiB"
    (lb.folder / "l4lb.toml").write_text(toml(lb.config))
    lb.admin("reload")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_size_may_change_as_often_as_one_likes_while_a_client_reads(workers: int) -> None:
    with Origin(by_target) as origin, before([origin.row], workers=workers, cache=CACHE) as lb:
        assert ask(lb, TARGET).status == 200
        with Peer(lb.connect(window=4096)) as slow:
            slow.say(request(TARGET))
            until(lambda: lb.ask("requests"), "the client is served")
            for number in range(20):
                resize(lb, 65 + number)
                for _ in range(2):
                    assert ask(lb, TARGET).body == body_of(TARGET, SIZE)
            assert slow.answer().body == body_of(TARGET, SIZE)
        until(lambda: lb.ask("cache")[0]["requests"] == 42, "all requests are counted")
        row = lb.ask("cache")[0]
        assert (row["hits"], row["misses"], row["objects"]) == (21, 21, 1)
        assert len(origin.requests) == 21
        until(lambda: memory(lb) < 4 * SIZE, "the memory of the caches before comes back")


def write(lb: Balancer, cache: dict[str, Any] | None) -> None:
    """Reloads with this cache, or without one."""
    assert lb.config is not None
    lb.config.pop("cache", None)
    lb.config["listeners"]["web"].pop("http", None)
    if cache is not None:
        lb.config["cache"] = {"pages": cache}
        lb.config["listeners"]["web"]["http"] = {"cache": "pages"}
    (lb.folder / "l4lb.toml").write_text(toml(lb.config))
    lb.admin("reload")


def test_the_memory_of_a_removed_cache_comes_back_without_a_request() -> None:
    with Origin(by_target) as origin, before([origin.row], cache=CACHE) as lb:
        ask(lb, TARGET)
        assert memory(lb) > SIZE
        write(lb, None)
        until(lambda: memory(lb) < SIZE, "it comes back")
        write(lb, CACHE)
        assert [ask(lb, TARGET).body == body_of(TARGET, SIZE) for _ in range(2)] == [True, True]
        assert len(origin.requests) == 2


def test_the_memory_comes_back_when_the_worker_dies_that_reads_from_it() -> None:
    with Origin(by_target) as origin, before([origin.row], cache=CACHE) as lb:
        ask(lb, TARGET)
        with Peer(lb.connect(window=4096)) as slow:
            slow.say(request(TARGET))
            until(lambda: lb.ask("requests"), "the client is served")
            write(lb, None)
            (worker,) = lb.pids()
            assert memory(lb) > SIZE
            send_signal(worker, signal.SIGKILL)
            until(lambda: memory(lb) < SIZE, "it comes back")
