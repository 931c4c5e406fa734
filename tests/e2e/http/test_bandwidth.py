"""Limits of bandwidth where a listener speaks HTTP: bodies in both directions, by every way that
they take, and none of their bytes is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ..harness import Balancer
from ..harness.http import Request, answer, before, chunked, client
from ..harness.http2 import client as http2
from ..harness.origin import Origin

BODY = bytes(range(256)) * 2048  # half a MiB
HALF_S = 0.35  # at 1 MiB a second it takes longer, whatever a bucket gives at first


def kept(request: Request) -> bytes:
    fields = [("Cache-Control", "max-age=60")]
    if request.target == "/chunked":
        return b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(BODY)
    return answer(request.body or BODY, fields=fields)


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin(kept) as one:
        yield one


def took(work: Callable[[], object]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def ask(lb: Balancer, path: str, body: bytes = b"") -> None:
    with client(lb) as peer:
        method = "POST" if body else "GET"
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        peer.say(f"{method} {path} HTTP/1.1\r\nHost: a.test\r\n{length}\r\n".encode() + body)
        assert peer.answer().body == BODY


@pytest.mark.parametrize("limit", ["bandwidth_per_session", "bandwidth_per_source"])
def test_bodies_are_no_faster_than_a_session_or_a_source_may_be(origin: Origin, limit: str) -> None:
    with before([origin.address], listener={"limits": {limit: "1MiB"}}) as lb:
        for path in ("/length", "/chunked"):
            assert took(lambda path=path: ask(lb, path)) > HALF_S
        assert took(lambda: ask(lb, "/sent", BODY)) > 2 * HALF_S  # there and back
        assert sum(row["slowed"] for row in lb.ask("listeners")) == 3


def test_what_is_cached_is_slowed_too(origin: Origin) -> None:
    with before(
        [origin.address], cache={}, listener={"limits": {"bandwidth_per_source": "1MiB"}}
    ) as lb:
        ask(lb, "/kept")
        known = len(origin.requests)
        assert took(lambda: [ask(lb, "/kept") for _ in range(2)]) > 2 * HALF_S
        assert len(origin.requests) == known


def test_streams_of_http2_share_what_their_connection_may_have(origin: Origin) -> None:
    def both() -> None:
        with http2(lb) as one:
            for path in ("/length", "/chunked"):
                assert bytes(one.ask(path).body) == BODY

    with before([origin.address], listener={"limits": {"bandwidth_per_session": "1MiB"}}) as lb:
        assert took(both) > 2 * HALF_S


def test_a_slow_client_by_our_own_limit_is_not_turned_away_for_it(origin: Origin) -> None:
    rules: dict[str, Any] = {"body_rate_min": "512KiB", "head_timeout": "1s"}
    limits = {"bandwidth_per_session": "256KiB"}
    with before([origin.address], http=rules, listener={"limits": limits}) as lb:
        ask(lb, "/sent", BODY)


def test_dry_run_only_counts(origin: Origin) -> None:
    limits = {"bandwidth_per_session": {"limit": "64KiB", "dry_run": True}}
    with before([origin.address], listener={"limits": limits}) as lb:
        with client(lb) as peer:
            for _ in range(3):
                peer.say(b"GET /length HTTP/1.1\r\nHost: a.test\r\n\r\n")
                assert peer.answer().body == BODY
        [row] = lb.ask("listeners")
        assert (row["slowed"], row["dry_run"]) == (0, {"slowed": 1})
