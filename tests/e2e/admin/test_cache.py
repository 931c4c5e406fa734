"""Caches as operators see and change them, through the installed program: their counts, what they
keep, purges, and reloads."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ..harness import PORTS, Balancer, run
from ..harness.configuration import toml
from ..harness.deadline import until
from ..harness.http import Peer, Request, answer, client
from ..harness.metrics import Metrics
from ..harness.origin import Origin

HOUR = ("Cache-Control", "max-age=3600")
LOCAL = {"networks": ["127.0.0.0/8"]}


def kept_for_an_hour(request: Request) -> bytes:
    """Answers with the target, and the fields that the query names (?Vary=Accept-Language)."""
    query = urllib.parse.parse_qsl(request.target.partition("?")[2])
    return answer(request.target.encode(), fields=[HOUR, *query])


@contextmanager
def cached(
    process: dict[str, Any] | None = None, **cache: Any
) -> Iterator[tuple[Balancer, Origin]]:
    """A balancer whose listener has a cache, and the origin behind it."""
    with Origin(kept_for_an_hour) as origin:
        config = {
            "process": {"workers": 2, **(process or {})},
            "listeners": {
                "web": {
                    "bind": [f"127.0.0.1:{PORTS.take()}"],
                    "protocol": "http",
                    "pool": "web",
                    "http": {"cache": "pages"},
                }
            },
            "pools": {"web": {"backends": [origin.row]}},
            "cache": {"pages": {"memory": "8MiB", **cache}},
        }
        with Balancer(config) as lb:
            yield lb, origin


def asked(peer: Peer, *targets: str) -> None:
    for target in targets:
        assert peer.ask(target).status == 200


def url(target: str) -> str:
    return f"http://example.test{target}"


def what(lb: Balancer, *purge: str) -> dict[str, Any]:
    found: dict[str, Any] = lb.admin("cache", "purge", *purge)
    return found


def refused(lb: Balancer, *args: str) -> str:
    done = run("admin", "--socket", lb.socket, "cache", *args, command=lb.command)
    assert done.returncode != 0
    return str(done.stderr)


def test_an_empty_cache_is_listed_with_its_memory() -> None:
    with cached() as (lb, _):
        (row,) = lb.admin("cache")
        assert (row["cache"], row["requests"], row["used_bytes"]) == ("pages", 0, 0)
        assert row["objects"] == 0
        assert row["memory_bytes"] >= 8 << 20
        assert row["hit_ratio"] is None
        assert lb.admin("cache", "show", url("/a")) == {"url": url("/a"), "answers": []}


def test_hits_and_misses_are_counted_over_all_workers() -> None:
    with cached() as (lb, origin):
        for _ in range(4):
            with client(lb) as peer:
                asked(peer, "/a")
        (row,) = lb.admin("cache")
        assert (row["requests"], row["hits"], row["misses"]) == (4, 3, 1)
        assert (row["hit_ratio"], row["stored"]) == (0.75, 1)
        assert row["bytes_out"] == 3 * len("/a")
        assert row["used_bytes"] > 0
        assert row["objects"] == 1
        assert len(origin.requests) == 1


def test_objects_are_those_that_would_be_found() -> None:
    """Whatever happens to a cache: its objects are counted, not summed up."""
    targets = [f"/{number}?Cache-Tag=x" for number in range(200)]

    def kept() -> int:
        shown = [lb.ask("cache", action="show", url=url(target)) for target in targets]
        return sum(len(one["answers"]) for one in shown)

    with cached() as (lb, _), client(lb) as peer:
        asked(peer, *targets)
        assert lb.admin("cache")[0]["objects"] == kept() == 200
        asked(peer, *targets)
        assert lb.admin("cache")[0]["objects"] == 200
        for target in targets[:50]:
            assert peer.ask(target, "POST").status == 200
        assert lb.admin("cache")[0]["objects"] == kept() == 150
        what(lb, "--all")
        assert (lb.admin("cache")[0]["objects"], kept()) == (150, 0)  # nobody has met them yet
        asked(peer, *targets[50:60])
        assert (lb.admin("cache")[0]["objects"], kept()) == (150, 10)


def test_what_is_kept_of_a_url_is_shown_with_its_variants() -> None:
    with cached() as (lb, _), client(lb) as peer:
        target = "/a?Vary=Accept-Language&Cache-Tag=x%2Cy"
        for language in ("de", "en"):
            fields = [("Accept-Language", language)]
            assert peer.ask(target, fields=fields).status == 200
        rows = lb.admin("cache", "show", url(target))["answers"]
        assert sorted(row["vary"] for row in rows) == [
            ["accept-language:de"],
            ["accept-language:en"],
        ]
        for row in rows:
            assert (row["cache"], row["status"], row["tags"]) == ("pages", 200, "x,y")
            assert row["body_bytes"] == len(target)
            assert 3_590 <= row["age_s"] + row["fresh_for_s"] <= 3_600
            assert row["state"] == "fresh"


@pytest.mark.parametrize(
    ("purge", "gone"),
    [
        ([url("/a/1?Cache-Tag=x")], {"/a/1?Cache-Tag=x"}),
        (["--prefix", url("/a/")], {"/a/1?Cache-Tag=x", "/a/2"}),
        (["--host", "Example.Test"], {"/a/1?Cache-Tag=x", "/a/2", "/b"}),
        (["--tag", "x"], {"/a/1?Cache-Tag=x"}),
        (["--all"], {"/a/1?Cache-Tag=x", "/a/2", "/b"}),
        (["--host", "b.example"], set()),
        (["--tag", "y"], set()),
    ],
)
def test_a_purge_takes_out_what_it_names_and_no_more(purge: list[str], gone: set[str]) -> None:
    targets = ["/a/1?Cache-Tag=x", "/a/2", "/b"]
    with cached() as (lb, origin), client(lb) as peer:
        asked(peer, *targets)
        assert what(lb, *purge)["caches"] == ["pages"]
        origin.requests.clear()
        asked(peer, *targets)
        assert {request.target for request in origin.requests} == gone


def test_after_a_soft_purge_the_stale_answer_is_used_until_a_new_one_is_there() -> None:
    with cached() as (lb, origin), client(lb) as peer:
        asked(peer, "/a")
        assert what(lb, url("/a"), "--soft")["soft"] is True
        (row,) = lb.admin("cache", "show", url("/a"))["answers"]
        assert row["state"] in ("fresh", "purged")  # it is told when it is met
        asked(peer, "/a")
        assert lb.admin("cache")[0]["results"]["updating"] == 1
        until(lambda: len(origin.requests) == 2, "the backend is asked in the background")


def test_who_purged_what_is_in_the_audit_trail() -> None:
    with cached() as (lb, _):
        what(lb, "--host", "example.test")
        lb.admin("cache", "show", url("/a"))
        assert "no cache is named x" in refused(lb, "purge", "--all", "--cache", "x")
        changes = [row for row in lb.admin("audit") if row["command"] == "cache"]
        assert [row["result"] for row in changes] == ["done", "refused"]
        assert changes[0]["args"]["host"] == "example.test"


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["purge"], "a purge is `cache purge URL`"),
        (["purge", url("/"), "--all"], "a purge is `cache purge URL`"),
        (["show"], "show takes a URL only"),
        (["show", "/a"], "/a is no URL such as"),
        (["show", url("/a"), "--tag", "x"], "show takes a URL only"),
        (["--all"], "a purge is `cache purge URL`"),
        (["flush"], "flush is not show or purge"),
        (["purge", "ftp://example.test/"], "is no URL such as"),
        (["--cache", "pagse"], "no cache is named pagse (did you mean pages?)"),
    ],
)
def test_a_mistake_is_told_with_what_to_write(args: list[str], told: str) -> None:
    with cached() as (lb, _):
        assert told in refused(lb, *args)


def test_a_cache_without_tags_cannot_be_purged_by_tag() -> None:
    with cached(tags="off", key=["path"]) as (lb, _):
        assert "no cache has tags" in refused(lb, "purge", "--tag", "x")
        assert "no cache tells hosts apart" in refused(lb, "purge", "--host", "a")


def test_curl_purges_from_the_networks_that_may() -> None:
    with cached(purge=LOCAL) as (lb, origin), client(lb) as peer:
        asked(peer, "/a", "/a")
        assert peer.ask("/a", "PURGE").status == 200
        assert lb.admin("cache", "show", url("/a"))["answers"] == []
        asked(peer, "/a")
        assert [request.method for request in origin.requests] == ["GET", "GET"]


def test_the_metrics_and_the_access_log_say_what_the_cache_did(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = {
        "log": {"access": str(log), "access_format": "json"},
        "http": f"127.0.0.1:{PORTS.take()}",
    }
    with cached(process) as (lb, _), client(lb) as peer:
        asked(peer, "/a", "/a")
        assert peer.ask("/a", "POST").status == 200
        metrics = Metrics(lb)
        for result in ("hit", "miss", "bypass"):
            assert metrics.value("l4lb_cache_requests_total", cache="pages", result=result) == 1
        assert metrics.value("l4lb_cache_stored_total", cache="pages") == 1
        assert metrics.value("l4lb_cache_bytes_total", cache="pages") == 2
        used = metrics.value("l4lb_cache_used_bytes", cache="pages")
        assert used is not None
        assert 0 < used < 4096
        assert metrics.value("l4lb_cache_objects", cache="pages") == 0  # POST has taken it out
        until(lambda: log.exists() and len(log.read_text().splitlines()) == 3, "three lines")
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        assert [row["cache"] for row in rows] == ["miss", "hit", "bypass"]


def test_a_reload_keeps_what_is_kept_unless_the_size_changes() -> None:
    with cached() as (lb, origin), client(lb) as peer:
        asked(peer, "/a")
        config = lb.config
        assert config is not None
        config["cache"]["pages"]["default_ttl"] = "1m"
        (lb.folder / "l4lb.toml").write_text(toml(config))
        assert [row["kind"] for row in lb.admin("reload")["changes"]] == ["cache"]
        asked(peer, "/a")
        assert len(origin.requests) == 1
        config["cache"]["pages"]["memory"] = "12MiB"
        (lb.folder / "l4lb.toml").write_text(toml(config))
        lb.admin("reload")
        asked(peer, "/a", "/a")
        assert len(origin.requests) == 2
        del config["listeners"]["web"]["http"], config["cache"]
        (lb.folder / "l4lb.toml").write_text(toml(config))
        lb.admin("reload")
        assert lb.admin("cache") == []
        asked(peer, "/a")
        assert len(origin.requests) == 3


def test_a_dead_worker_takes_nothing_of_the_cache_with_it() -> None:
    with cached() as (lb, origin), client(lb) as peer:
        asked(peer, "/a")
        for worker in range(2):
            lb.wait_for_new_worker(worker, lb.kill(worker))
        with client(lb) as again:
            asked(again, "/a")
        assert len(origin.requests) == 1
