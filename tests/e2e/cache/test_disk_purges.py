"""Purges and changes hold for what is on disk, over restarts and kills."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import pytest

from ..harness import Balancer, send_signal
from ..harness.origin import Origin
from .conftest import again, running
from .on_disk import HOST, LARGE, PURGE, SMALL, ask, body_of, by_target, on_disk


@pytest.mark.parametrize(
    "how",
    ["post", "purge", "url", "prefix", "host", "tag", "all"],
)
@pytest.mark.parametrize("restarts", ["before", "after", "killed"])
def test_a_purge_holds_for_what_is_on_disk(tmp_path: Path, how: str, restarts: str) -> None:
    paths = [f"/{size}/a" for size in (SMALL, LARGE)]
    with Origin(by_target) as origin, contextlib.ExitStack() as stack:

        def start(lb: Balancer) -> Balancer:
            stack.enter_context(running(lb))
            return lb

        def restart(lb: Balancer) -> Balancer:
            if restarts == "killed":
                for pid in [lb.process.pid, *lb.pids()]:
                    send_signal(pid, signal.SIGKILL)
                lb.wait()
            stack.close()
            return start(again(lb))

        lb = start(on_disk(origin, tmp_path / "disk", purge=PURGE))
        for path in paths:
            ask(lb, path)
        if restarts == "before":
            lb = restart(lb)
        base = f"http://{HOST}"
        for path in paths:
            match how:
                case "post" | "purge":
                    assert ask(lb, path, how.upper()).status == 200
                case "url":
                    lb.admin("cache", "purge", base + path)
                case "tag":
                    lb.admin("cache", "purge", "--tag", f"of-{path.split('/')[1]}")
        match how:
            case "prefix":
                lb.admin("cache", "purge", "--prefix", f"{base}/")
            case "host":
                lb.admin("cache", "purge", "--host", HOST)
            case "all":
                lb.admin("cache", "purge", "--all")
        if restarts != "before":
            lb = restart(lb)
        asked = len(origin.requests)
        for path in paths:
            assert ask(lb, path).body == body_of(path, int(path.split("/")[1]))
        assert origin.targets()[asked:] == paths
        if restarts != "before":
            lb = restart(lb)
        for path in paths:
            ask(lb, path)
        assert len(origin.requests) == asked + len(paths)
