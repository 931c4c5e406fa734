"""Bodies that are too long or come too slowly: the client is told, and no backend has a whole
request of them."""

from __future__ import annotations

import json
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ..harness import Balancer
from ..harness.backends import Door
from ..harness.deadline import PATIENCE_S, until
from ..harness.http import Peer, answer, before, chunked, client, request
from ..harness.http2 import Http2
from ..harness.origin import Origin, path_and_name

CHUNKED = [("Transfer-Encoding", "chunked")]
SLOW = {"head_timeout": "500ms", "body_rate_min": "1KiB"}


@contextmanager
def service(http: dict[str, Any], **more: Any) -> Iterator[tuple[Balancer, Origin]]:
    with Origin() as origin, before([origin.row], http=http, **more) as lb:
        yield lb, origin


def head(body: int | None, target: str = "/a", **more: Any) -> bytes:
    """The head of a POST; without a length its body is in chunks."""
    fields = CHUNKED if body is None else [("Content-Length", str(body))]
    return request(target, "POST", fields=[*fields, *more.get("fields", ())])


def trickle(peer: Peer, piece: bytes) -> None:
    """Sends a small piece of a body again and again, until something comes back."""
    until_s = time.monotonic() + PATIENCE_S
    while not select.select([peer.sock], [], [], 0.02)[0]:
        assert time.monotonic() < until_s, "nothing has come back"
        peer.say(piece)


# ---- too long ------------------------------------------------------------------------------------

LIMIT = {"max_body": "1KiB"}


def test_a_body_in_chunks_as_long_as_it_may_be_passes() -> None:
    with service(LIMIT) as (lb, origin), client(lb) as peer:
        peer.say(head(None), chunked(b"x" * 1000, b"y" * 24))
        assert peer.answer("POST").status == 200
        peer.say(head(None), *(chunked(b"x" * 1000)[:-5], chunked(b"y" * 24)))
        assert peer.answer("POST").status == 200
        assert [len(one.body) for one in origin.requests] == [1024, 1024]


@pytest.mark.parametrize("parts", [(1025,), (1024, 1), (1, 1024), (5000,), (40_000, 40_000)])
@pytest.mark.parametrize("together", [True, False])
def test_a_longer_body_in_chunks_is_no_request_of_any_backend(
    tmp_path: Path, parts: tuple[int, ...], together: bool
) -> None:
    log = tmp_path / "log"
    process = {"log": {"access": str(log), "access_format": "json"}}
    body = chunked(*(b"x" * part for part in parts))
    with service(LIMIT, process=process) as (lb, origin):
        with client(lb) as peer:
            if together:
                peer.say(head(None) + body + request("/behind"))
            else:
                peer.say(head(None))
                until(lambda: origin.connections == 1, "the head is with the backend")
                peer.say(body + request("/behind"))
            refused = peer.answer("POST")
            assert (refused.status, refused.closes) == (413, True)
            assert peer.ended() in ("fin", "reset")
        until(lambda: origin.open == 0, "the backend's connection is closed")
        assert origin.requests == []
        until(lambda: log.exists() and log.read_text().count("\n") == 1, "one line")
        row = json.loads(log.read_text())
        assert (row["end"], row["fault"]) == ("rejected:too_large", "body_too_large")


def test_a_longer_body_of_a_stream_is_refused_and_the_connection_goes_on() -> None:
    with service(LIMIT) as (lb, origin), Http2(lb.connect()) as peer:
        stream = peer.begin("/a", "POST", ends=False)
        peer.send(stream, b"x" * 1025, ends=True)
        assert peer.answer(stream).status == 413
        assert peer.ask("/b", "POST", body=b"x" * 1024).status == 200
        assert [(one.target, len(one.body)) for one in origin.requests] == [("/b", 1024)]


# ---- too slow ------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [100_000, None])
def test_a_body_that_trickles_in_is_refused_and_its_backend_is_free(
    tmp_path: Path, length: int | None
) -> None:
    log = tmp_path / "log"
    process = {"log": {"access": str(log), "access_format": "json"}}
    with service(SLOW, process=process) as (lb, origin), client(lb) as peer:
        peer.say(head(length))
        trickle(peer, b"x" if length else b"1\r\nx\r\n")
        refused = peer.answer("POST")
        assert (refused.status, refused.closes) == (408, True)
        until(lambda: origin.open == 0, "the backend's connection is closed")
        assert origin.requests == []
        until(lambda: log.exists() and log.read_text().count("\n") == 1, "one line")
        row = json.loads(log.read_text())
        assert (row["end"], row["fault"]) == ("rejected:body_rate", "body_rate")


def test_a_stream_whose_body_stops_is_refused_and_others_go_on() -> None:
    with service(SLOW) as (lb, origin), Http2(lb.connect()) as peer:
        slow = peer.begin("/slow", "POST", ends=False)
        peer.send(slow, b"x", ends=False)
        assert peer.ask("/a", "POST", body=b"y").status == 200
        assert peer.answer(slow).status == 408
        assert peer.ask("/b").status == 200
        assert origin.targets() == ["/a", "/b"]


def test_a_body_that_is_fast_enough_passes_however_long_it_takes() -> None:
    with service({"head_timeout": "2s", "body_rate_min": "10B"}) as (lb, origin):
        with client(lb) as peer:
            peer.say(head(None))
            begun = time.monotonic()
            sent = 0
            while time.monotonic() < begun + 5:  # over several windows
                peer.say(b"64\r\n" + b"x" * 100 + b"\r\n")
                sent += 100
                assert not select.select([peer.sock], [], [], 0.05)[0]
            peer.say(b"0\r\n\r\n")
            assert peer.answer("POST").status == 200
        assert [len(one.body) for one in origin.requests] == [sent]


def test_a_client_is_not_blamed_for_a_backend_that_does_not_read() -> None:
    goes_on = threading.Event()
    size = 24 << 20

    def serve() -> None:
        with Peer(door.accept()) as backend:
            assert goes_on.wait(PATIENCE_S * 4)
            assert len(backend.request().body) == size
            backend.say(answer(b"done"))

    http = SLOW | {"max_body": "0B"}
    with Door() as door, before([door.address], http=http) as lb:
        backend = threading.Thread(target=serve)
        backend.start()
        with client(lb) as peer:
            sender = threading.Thread(target=peer.say, args=(head(size), b"x" * size))
            sender.start()
            end = time.monotonic() + 2  # four windows
            until(lambda: time.monotonic() > end, "some windows are over", every_s=0.1)
            goes_on.set()
            assert peer.answer("POST").body == b"done"
            sender.join()
        backend.join()


def test_a_client_is_not_blamed_for_a_backend_that_keeps_it_waiting_for_100() -> None:
    with service(SLOW, pool_http={"answer_timeout": "1m"}) as (lb, origin), client(lb) as peer:
        origin.answering = path_and_name("a")
        peer.say(head(5, fields=[("Expect", "100-continue")]))
        end = time.monotonic() + 1.5
        until(lambda: time.monotonic() > end, "some windows are over", every_s=0.1)
        assert peer.is_quiet()
        peer.say(b"hello")
        assert peer.answer("POST").status == 200


def test_any_rate_is_fast_enough_where_none_is_asked_for() -> None:
    with service({"head_timeout": "200ms", "body_rate_min": "0B"}) as (lb, _), client(lb) as peer:
        peer.say(head(2), b"x")
        end = time.monotonic() + 1
        until(lambda: time.monotonic() > end, "some windows would be over", every_s=0.1)
        peer.say(b"y")
        assert peer.answer("POST").status == 200


# ---- answers -------------------------------------------------------------------------------------


def test_a_client_that_takes_nothing_of_its_answer_is_ended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = {"log": {"access": str(log), "access_format": "json"}}
    with (
        Origin(lambda _: answer(b"x" * (32 << 20))) as origin,
        before([origin.row], process=process, idle_timeout="500ms") as lb,
        client(lb) as peer,
    ):
        peer.say(request("/a"))
        until(lambda: log.exists() and log.read_text().count("\n") == 1, "it has ended")
        assert json.loads(log.read_text())["end"] == "idle_timeout"
        until(lambda: origin.open == 0, "the backend's connection is closed")
