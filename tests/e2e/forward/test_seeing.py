"""What operators see of a forward proxy, and what they can have decided anew."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..harness import PORTS, Balancer, run, until
from ..harness.http import answer
from ..harness.metrics import Metrics
from ..harness.origin import Origin
from ..harness.processes import kill_and_wait
from .proxy import ALL, ask, basic, proxy


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin(lambda _: answer(b"hello")) as one:
        yield one


def verdicts(lb: Balancer) -> dict[str, int]:
    found: dict[str, int] = lb.admin("forward", "top")["verdicts"]
    return found


def test_requests_are_counted_by_user_host_rule_and_list(origin: Origin, tmp_path: Path) -> None:
    hashed = subprocess.run(
        ["openssl", "passwd", "-apr1", "right"], capture_output=True, text=True, check=True
    )
    (tmp_path / "users").write_text(f"ann:{hashed.stdout}")
    (tmp_path / "ads").write_text("# ads\nads.example\n")
    rules = [
        {"name": "ads", "list": ["ads"], "action": "deny"},
        {"name": "people", "user": "*", "action": "allow"},
    ]
    http = f"127.0.0.1:{PORTS.take()}"
    lb = proxy(
        rules=rules,
        lists={"ads": {"files": [str(tmp_path / "ads")]}},
        auth={"htpasswd": str(tmp_path / "users")},
        workers=2,
    )
    assert lb.config is not None
    lb.config["process"]["http"] = http
    url, ann = f"http://{origin.address}/", [basic("ann", "right")]
    with lb:
        for _ in range(6):
            assert ask(lb, url, fields=ann).status == 200
            assert ask(lb, "http://www.ads.example/", fields=ann).status == 403
        assert ask(lb, url).status == 407
        assert ask(lb, url, fields=[basic("ann", "wrong")]).status == 407
        assert verdicts(lb) == {"allow": 6, "deny": 6, "auth": 2}
        host = origin.address.rpartition(":")[0]
        told = lb.admin("forward", "top", "office", "--limit", "1")
        assert [(row["requests"], row["denied"]) for row in told["top"]] == [(6, 0)]
        assert told["top"][0]["name"] == host
        (row,) = lb.admin("forward", "top", "--by", "user")["top"]
        assert (row["name"], row["requests"], row["denied"]) == ("ann", 12, 6)
        (row,) = lb.admin("forward", "top", "--by", "denied")["top"]
        assert (row["name"], row["requests"], row["rule"]) == ("www.ads.example", 6, "ads")
        (row,) = lb.admin("lists")
        assert (row["list"], row["entries"], row["hits"]) == ("ads", 1, 6)
        found = lb.admin("lists", "--find", "http://www.ads.example/x")["found"]
        assert [(one["name"], one["line"]) for one in found] == [("ads.example", 2)]
        (row,) = lb.admin("users")
        assert (row["user"], row["failures"], row["remembered"]) == ("ann", 1, True)
        value = Metrics(lb).value
        until(lambda: value("l4lb_list_hits_total", list="ads") == 6, "the metrics follow")
        assert value("l4lb_forward_requests_total", forward="office", verdict="allow") == 6
        assert_text(lb)
        assert_changes(lb)


def assert_text(lb: Balancer) -> None:
    """Operators can read it, too."""
    said = asked(lb, "forward", "top", "--by", "denied").stdout
    assert re.search(r"^  www\.ads\.example +6 +6 +ads +0$", said, re.MULTILINE), said
    said = asked(lb, "lists", "--find", "ads.example").stdout
    assert re.search(r"^  ads +ads\.example +\S+/ads +2$", said, re.MULTILINE), said
    assert "found: -" in asked(lb, "lists", "--find", "other.example").stdout


def asked(lb: Balancer, *args: str) -> subprocess.CompletedProcess[str]:
    return run("admin", "--socket", lb.socket, *args)


def assert_changes(lb: Balancer) -> None:
    """Who had lists read again, or decisions forgotten, is recorded."""
    (row,) = lb.admin("lists", "reload")
    assert row["entries"] == 1
    lb.admin("flush", "verdicts")
    assert not lb.admin("users")[0]["remembered"]
    commands = [event["command"] for event in lb.admin("audit")]
    assert commands[-2:] == ["lists", "flush"]
    lists = asked(lb, "lists", "other")
    assert lists.returncode == 1
    assert "no list other; the lists are ads" in lists.stderr


def test_no_use_is_lost_with_a_worker_or_with_the_policy(origin: Origin) -> None:
    url, lb = f"http://{origin.address}/", proxy(workers=2)
    assert lb.config is not None
    lb.config["process"]["http"] = f"127.0.0.1:{PORTS.take()}"
    with lb:
        for number in range(1, 3):
            assert ask(lb, url).status == 200
            if number % 2:
                lb.wait_for_new_worker(0, lb.kill(0))
            else:
                replace_policy(lb, number)
        assert verdicts(lb) == {"allow": 2}
        until(lambda: is_written(lb, 2), "the counts are written")
        lb.admin("upgrade")
        assert verdicts(lb) == {"allow": 2}


def is_written(lb: Balancer, requests: int) -> bool:
    name, labels = "l4lb_forward_requests_total", {"forward": "office", "verdict": "allow"}
    return Metrics(lb).value(name, **labels) == requests


def replace_policy(lb: Balancer, requests: int) -> None:
    """Kills the policy process, once its counts are written."""
    until(lambda: is_written(lb, requests), "the counts are written")
    before = lb.child("policy")
    kill_and_wait(before.pid)
    until(lambda: asked(lb, "forward", "top").returncode == 0, "another one answers")


def test_a_listener_of_socks_is_shown_as_one() -> None:
    with proxy(socks=True, rules=[ALL]) as lb:
        (row,) = lb.admin("listeners")
        assert row["protocol"] == "socks5"
