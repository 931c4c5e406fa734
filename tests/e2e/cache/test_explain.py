"""`explain LISTENER --request` tells what the cache then does; `cache show` finds what only the
disk has. Neither changes what there is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..harness import Balancer, until
from ..harness.http import Fields, Request, answer, before, client
from ..harness.origin import Origin
from .conftest import KEPT, again, running
from .on_disk import HOST, LARGE, PURGE, SMALL, by_target, on_disk
from .on_disk import ask as got


def told(lb: Balancer, target: str, method: str = "GET", *fields: str) -> dict[str, Any]:
    request = f"{method} http://{HOST}{target}"
    found: dict[str, Any] = lb.ask("explain", pool="web", request=request, header=list(fields))
    return found


def does(lb: Balancer, target: str, method: str = "GET", fields: Fields = ()) -> str:
    """Asks as a client. Returns what the cache did, by its count."""

    def counts() -> dict[str, int]:
        return dict(lb.ask("cache")[0]["results"])

    before_it = counts()
    with client(lb) as peer:
        peer.ask(target, method, fields=fields)
    until(lambda: counts() != before_it, "the request is counted")
    return next(word for word, count in counts().items() if count > before_it[word])


def origin_answer(request: Request) -> bytes:
    """Answers with the fields that the query names, such as /a?Cache-Control=max-age%3D1."""
    return answer(b"x", fields=[("Cache-Control", "max-age=100"), *_fields(request)])


def _fields(request: Request) -> list[tuple[str, str]]:
    _, _, query = request.target.partition("?")
    return [(n, v) for n, _, v in (one.partition("=") for one in query.split("&")) if n == "Vary"]


@pytest.fixture(scope="module")
def lb() -> Iterator[Balancer]:
    routes = [
        {"path_prefix": "/none/", "pool": "web", "cache": "off"},
        {"path_prefix": "/other/", "pool": "web"},
        {"path_prefix": "/own/", "respond": {"status": 200, "body": "x"}},
    ]
    cache = {"ignore_query": ["utm_*"], "ignore_cookies": ["_ga*"], "purge": PURGE}
    with Origin(origin_answer) as origin:
        listener = {"routes": routes, "http": {"cache": "pages"}}
        with before([origin.row], cache=cache, listener=listener) as lb:
            yield lb


def test_what_is_explained_then_happens(lb: Balancer) -> None:
    asked: list[tuple[str, str, list[tuple[str, str]]]] = [
        ("/a", "GET", []),
        ("/a", "GET", []),
        ("/a", "HEAD", []),
        ("/a?utm_source=x", "GET", []),
        ("/a", "GET", [("Cache-Control", "no-cache")]),
        ("/a?b", "GET", []),
        ("/other/a", "GET", []),
        ("/other/a", "GET", []),
        ("/a", "POST", []),
        ("/a", "GET", []),
        ("/a", "OPTIONS", []),
        ("/b?Vary=X-Way", "GET", [("X-Way", "1")]),
        ("/b?Vary=X-Way", "GET", [("X-Way", "2")]),
        ("/b?Vary=X-Way", "GET", [("X-Way", "1")]),
        ("/c?Vary=Cookie", "GET", [("Cookie", "_ga=1; a=2")]),
        ("/c?Vary=Cookie", "GET", [("Cookie", "a=2")]),
        ("/c?Vary=Cookie", "GET", [("Cookie", "a=3")]),
    ]
    for target, method, fields in asked:
        said = told(lb, target, method, *(f"{name}: {value}" for name, value in fields))
        assert said["cache"] == "pages"
        assert said["cache_result"] == does(lb, target, method, fields), (target, method, fields)
        kept = said["cache_result"] in ("hit", "expired")
        assert ("age_s" in said) == kept
        assert (said["outcome"] == "cached") == (said["cache_result"] == "hit")
        assert ("backend" in said) == (said["cache_result"] != "hit")


def test_the_key_the_place_and_the_times_of_an_answer_are_told(lb: Balancer) -> None:
    does(lb, "/k?c=d&utm_x=1")
    said = told(lb, "/k?utm_x=2&c=d")
    assert (said["cache_key"], said["cache_has"]) == (f"http://{HOST}/k?c=d", "memory")
    assert 0 <= said["age_s"] <= 100
    assert said["age_s"] + said["fresh_for_s"] == 100
    assert (said["outcome"], said["pool"]) == ("cached", "web")
    text = lb.ask("explain", pool="web", request="GET /k?c=d", header=[f"Host: {HOST}"])
    assert text["cache_result"] == "hit"


def test_a_request_without_a_cache_is_told_as_one(lb: Balancer) -> None:
    said = told(lb, "/none/a")
    assert (said["cache"], said["outcome"]) == (None, "served")
    assert "cache_key" not in said
    assert "cache" not in told(lb, "/own/a")


def test_a_purge_and_only_if_cached_are_told(lb: Balancer) -> None:
    assert told(lb, "/a", "PURGE")["cache_result"] == "purge"
    said = told(lb, "/nothing", "GET", "Cache-Control: only-if-cached")
    assert (said["cache_result"], said["status"]) == ("miss", 504)
    assert "backend" not in said
    with client(lb) as peer:
        fields = [("Cache-Control", "only-if-cached")]
        assert peer.ask("/nothing", fields=fields).status == 504


def test_a_question_counts_for_nothing(lb: Balancer) -> None:
    does(lb, "/q")
    row = lb.ask("cache")[0]
    for _ in range(3):
        told(lb, "/q")
        told(lb, "/not-there")
    assert lb.ask("cache")[0] == row


def test_what_another_request_fetches_is_waited_for() -> None:
    comes, goes = threading.Event(), threading.Event()

    def slow(_: Request) -> bytes:
        comes.set()
        assert goes.wait(20)
        return answer(b"x", fields=KEPT)

    with Origin(slow) as origin, before([origin.row], cache={}) as lb, client(lb) as peer:
        peer.say(b"GET /a HTTP/1.1\r\nHost: example.test\r\n\r\n")
        assert comes.wait(20)
        said = told(lb, "/a")
        assert (said["outcome"], said["cache_result"]) == ("waits", "miss")
        assert told(lb, "/b")["outcome"] == "served"
        goes.set()
        assert peer.answer().status == 200
        assert told(lb, "/a")["cache_result"] == "hit"


def shown(lb: Balancer, target: str) -> dict[str, Any]:
    found: dict[str, Any] = lb.admin("cache", "show", f"http://{HOST}{target}")
    return found


def test_what_only_the_disk_has_is_shown_and_explained(tmp_path: Path) -> None:
    targets = [f"/{size}/a" for size in (1, SMALL, LARGE)]
    with Origin(by_target) as origin:
        with running(on_disk(origin, tmp_path / "disk")) as lb:
            for target in targets:
                got(lb, target)
                (row,) = shown(lb, target)["answers"]
                assert row["place"] == "memory"
        with running(again(lb)) as lb:
            reads = lb.ask("cache")[0]["disk_reads"]
            for target, size in zip(targets, (1, SMALL, LARGE), strict=True):
                (row,) = shown(lb, target)["answers"]
                assert (row["place"], row["status"], row["body_bytes"]) == ("disk", 200, size)
                assert (row["state"], row["tags"]) == ("fresh", f"all,of-{size}")
                said = told(lb, target)
                assert (said["cache_result"], said["cache_has"]) == ("hit", "disk")
            assert shown(lb, "/1/other")["answers"] == []
            assert lb.ask("cache")[0]["disk_reads"] == reads
            assert lb.ask("cache")[0]["objects"] == 0
            lb.admin("cache", "purge", "--tag", f"of-{SMALL}")
            assert [len(shown(lb, target)["answers"]) for target in targets] == [1, 0, 1]
            assert told(lb, targets[1])["cache_result"] == "miss"
            lb.admin("cache", "purge", "--all", "--soft")
            assert shown(lb, targets[0])["answers"][0]["state"] == "purged"
            assert told(lb, targets[0])["cache_result"] == "updating"
        assert origin.targets() == targets


def test_variants_on_the_disk_are_told_by_their_fields(tmp_path: Path) -> None:
    def by_way(request: Request) -> bytes:
        return answer((request.get("x-way") or "").encode(), fields=[*KEPT, ("Vary", "X-Way")])

    with Origin(by_way) as origin:
        with running(on_disk(origin, tmp_path / "disk")) as lb:
            for way in "ab":
                got(lb, "/a", fields=[("X-Way", way)])
        with running(again(lb)) as lb:
            found = shown(lb, "/a")
            assert found["variants_on_disk"] == [{"cache": "pages", "vary": ["x-way"]}]
            assert [row["vary"] for row in found["answers"]] == [["x-way:a"]]
            for way, result in (("a", "hit"), ("b", "hit"), ("c", "miss")):
                assert told(lb, "/a", "GET", f"X-Way: {way}")["cache_result"] == result


def test_a_damaged_file_is_not_shown_and_stays(tmp_path: Path) -> None:
    with Origin(by_target) as origin:
        with running(on_disk(origin, tmp_path / "disk")) as lb:
            got(lb, f"/{LARGE}/a")
            (file,) = (one for one in (tmp_path / "disk").glob("??/*"))
            file.write_bytes(file.read_bytes()[:-1])
            assert told(lb, f"/{LARGE}/a")["cache_result"] == "miss"
        with running(again(lb)) as lb:
            assert shown(lb, f"/{LARGE}/a")["answers"] == []
            assert lb.ask("cache")[0]["disk_errors"] == 0
            assert file.exists()
