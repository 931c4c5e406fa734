"""Requests and answers that an engine of ICAP inspects, through the installed program: what reaches
whom and when, and what operators are told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..harness import PORTS
from ..harness.browser import browser, console
from ..harness.deadline import until
from ..harness.engine import (
    BLOCKED,
    CLEAN,
    EVIL,
    Asked,
    Engine,
    blocking,
    echo,
    inspected,
    message,
    verdicts,
)
from ..harness.http import Request, answer, chunked, client, outcome, request
from ..harness.http2 import client as client2
from ..harness.metrics import Metrics
from ..harness.origin import Origin, Reply


def test_what_is_clean_goes_on_as_it_came_and_what_is_not_is_stopped_in_both_directions() -> None:
    said = {"/evil": EVIL, "/big": b"x" * 300_000}

    def answering(asked: Request) -> bytes:
        return answer(said.get(asked.target, asked.body or b"fine"))

    with (
        Engine(blocking) as engine,
        Origin(answering) as origin,
        inspected(engine, origin) as lb,
        client(lb) as peer,
    ):
        assert peer.ask("/a").body == b"fine"
        assert peer.ask("/b", "POST", body=b"y" * 200_000).body == b"y" * 200_000
        assert peer.ask("/big").body == b"x" * 300_000
        refused = peer.ask("/evil")
        assert (refused.status, refused.body) == (403, b"blocked by the engine")
        assert refused.get("x-by") == "engine"
        before_it = len(origin.requests)
        refused = peer.ask("/c", "POST", body=EVIL)
        assert (refused.status, refused.body) == (403, b"blocked by the engine")
        assert len(origin.requests) == before_it
        assert peer.ask("/after").body == b"fine"
        assert verdicts(lb) == {"clean": 9, "blocked": 2}
        assert engine.optioned == 1


@pytest.mark.parametrize("preview", [None, 0, 5, 4096])
def test_an_engine_sees_the_preview_that_it_asks_for_and_then_the_rest(preview: int | None) -> None:
    with (
        Engine(preview=preview) as engine,
        Origin() as origin,
        inspected(engine, origin, what=("requests",)) as lb,
        client(lb) as peer,
    ):
        for body in (b"12345", b"1" * 4096, b"z" * 9000):
            assert peer.ask("/", "POST", body=body).status == 200
            asked = engine.asked[-1]
            assert asked.body == body == origin.requests[-1].body
            assert asked.previewed == (None if preview is None else body[:preview])
            assert asked.whole == (preview is not None and len(body) <= preview)
        assert peer.ask("/none").status == 200
        assert engine.asked[-1].fields["encapsulated"].startswith("req-hdr=0, null-body=")
        assert engine.asked[-1].fields["allow"] == "204"


def test_an_engine_that_decides_by_the_preview_is_not_shown_the_rest() -> None:
    def by_begin(asked: Asked) -> bytes:
        return message(answer=BLOCKED, body=b"no") if asked.body.startswith(b"MZ") else CLEAN

    with (
        Engine(by_begin, preview=4, waits=True) as engine,
        Origin() as origin,
        inspected(engine, origin, what=("requests",)) as lb,
        client(lb) as peer,
    ):
        assert peer.ask("/", "POST", body=b"MZ" * 5000).status == 403
        assert peer.ask("/", "POST", body=b"PK" * 5000).status == 200
        assert [one.body for one in engine.asked] == [b"MZMZ", b"PKPK"]
        assert origin.requests[0].body == b"PK" * 5000


def test_what_is_evil_is_found_in_every_chunking() -> None:
    cuts = [[EVIL[:at], EVIL[at:]] for at in range(1, len(EVIL))]
    each = [EVIL[at : at + 1] for at in range(len(EVIL))]
    bodies = [chunked(*parts) for parts in [*cuts, each]]

    def answering(asked: Request) -> Reply:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        body = bodies[int(asked.target[1:])]
        return Reply([head, *(body[at : at + 1] for at in range(len(body)))])

    with Engine(blocking) as engine, Origin(answering) as origin:
        with inspected(engine, origin, what=("answers",)) as lb, client(lb) as peer:
            for number in range(len(bodies)):
                refused = peer.ask(f"/{number}")
                assert (refused.status, refused.body) == (403, b"blocked by the engine")
        seen = len(origin.requests)
        with inspected(engine, origin, what=("requests",)) as lb, client(lb) as peer:
            for body in bodies:
                fields = [("Transfer-Encoding", "chunked")]
                peer.say_slowly(request("/", "POST", fields=fields) + body)
                assert peer.answer("POST").status == 403
            assert len(origin.requests) == seen


def test_a_body_in_chunks_goes_on_with_its_length_and_the_next_request_stays_behind_it() -> None:
    with Engine() as engine, Origin() as origin, inspected(engine, origin) as lb:
        with client(lb) as peer:
            fields = [("Transfer-Encoding", "chunked"), ("X-Own", "1"), ("Cookie", "a=b")]
            first = request("/1", "POST", fields=fields) + chunked(b"abc", b"defgh")
            peer.say(first + request("/2") + request("/3", "POST", body=b"end"))
            assert [peer.answer(method).status for method in ("POST", "GET", "POST")] == [200] * 3
        assert [one.body for one in origin.requests] == [b"abcdefgh", b"", b"end"]
        one = origin.requests[0]
        assert (one.get("content-length"), one.get("x-own"), one.get("cookie")) == ("8", "1", "a=b")
        assert one.get("transfer-encoding") is None
        assert one.get("x-forwarded-for") == "127.0.0.1"


def test_a_client_that_waits_for_100_is_told_to_go_on() -> None:
    with (
        Engine() as engine,
        Origin() as origin,
        inspected(engine, origin) as lb,
        client(lb) as peer,
    ):
        head = request("/", "POST", fields=[("Content-Length", "3"), ("Expect", "100-continue")])
        peer.say(head)
        assert peer.bytes_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.say(b"abc")
        assert peer.answer("POST").status == 200
        assert origin.requests[0].body == b"abc"
        assert origin.requests[0].get("expect") is None


def test_an_engine_may_change_requests_and_answers_but_not_whom_a_request_is_for() -> None:
    def changing(asked: Asked) -> bytes:
        if asked.answer:
            head = asked.answer.replace(b"X-From: a", b"X-From: engine")
            return message(answer=head, body=asked.body.upper())
        if b"/elsewhere" in asked.request:
            return message(request=asked.request.replace(b"/elsewhere", b"/secret"), body=b"x")
        return message(request=asked.request.replace(b"X-Old", b"X-New"), body=b"changed")

    with (
        Engine(changing) as engine,
        Origin() as origin,
        inspected(engine, origin) as lb,
        client(lb) as peer,
    ):
        got = peer.ask("/page", "POST", body=b"original", fields=[("X-Old", "1")])
        assert (got.status, got.body, got.get("x-from")) == (200, b"A /PAGE", "engine")
        assert origin.requests[0].body == b"changed"
        assert (origin.requests[0].get("x-new"), origin.requests[0].get("x-old")) == ("1", None)
        assert peer.ask("/elsewhere", "POST", body=b"original").status == 503
        assert len(origin.requests) == 1
        assert verdicts(lb) == {"changed": 2, "failed": 1}


def test_an_engine_that_sends_all_back_has_found_nothing() -> None:
    with (
        Engine(echo) as engine,
        Origin() as origin,
        inspected(engine, origin) as lb,
        client(lb) as peer,
    ):
        assert peer.ask("/x", "POST", body=b"abc").body == b"a /x"
        assert verdicts(lb) == {"clean": 2}


@pytest.mark.parametrize("framing", ["length", "chunks"])
@pytest.mark.parametrize("too_large", ["deny", "allow"])
def test_a_body_that_is_too_large_is_what_its_engine_says(framing: str, too_large: str) -> None:
    body = bytes(range(256)) * 2000

    def answering(asked: Request) -> bytes:
        if asked.method == "POST" or framing == "length":
            return answer(body)
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        return head + chunked(*(body[at : at + 7000] for at in range(0, len(body), 7000)))

    with Engine() as engine, Origin(answering) as origin:
        icap = {"max_body": "100KiB", "too_large": too_large}
        with inspected(engine, origin, icap=icap) as lb, client(lb) as peer:
            got = peer.ask("/a")
            assert got.status == (502 if too_large == "deny" else 200)
            assert got.body == (body if too_large == "allow" else b"502 Bad Gateway\n")
        with inspected(engine, origin, icap=icap, what=("requests",)) as lb, client(lb) as peer:
            if framing == "length":
                peer.say(request("/", "POST", body=body))
            else:
                fields = [("Transfer-Encoding", "chunked")]
                parts = (body[at : at + 9000] for at in range(0, len(body), 9000))
                peer.say(request("/", "POST", fields=fields) + chunked(*parts))
            status = 413 if too_large == "deny" else 200
            assert outcome(peer, "POST") == status
            assert verdicts(lb) == {"too_large": 1}
            if status == 200:
                assert origin.requests[-1].body == body
                assert peer.ask("/again").status == 200


def test_an_answer_that_comes_too_slowly_counts_as_too_large() -> None:
    def answering(_: Request) -> Reply:
        def parts() -> Iterator[bytes]:
            yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
            until(lambda: bool(sum(verdicts(lb).values())), "a verdict")
            yield b"4\r\nlast\r\n0\r\n\r\n"

        return Reply(parts())

    with (
        Engine() as engine,
        Origin(answering) as origin,
        inspected(
            engine, origin, icap={"max_time": "300ms", "too_large": "allow"}, what=("answers",)
        ) as lb,
        client(lb) as peer,
    ):
        assert peer.ask("/").body == b"firstlast"
        assert verdicts(lb) == {"too_large": 1}


def test_clients_of_http2_are_inspected_too() -> None:
    def answering(asked: Request) -> bytes:
        return answer(EVIL if asked.target == "/evil" else b"ok" * 50_000)

    with (
        Engine(blocking) as engine,
        Origin(answering) as origin,
        inspected(engine, origin) as lb,
        client2(lb) as peer,
    ):
        assert peer.ask("/a").body == b"ok" * 50_000
        assert peer.ask("/evil").body == b"blocked by the engine"
        assert peer.ask("/b", "POST", body=b"x" * 100_000).status == 200
        assert origin.requests[-1].body == b"x" * 100_000
        assert peer.ask("/c", "POST", body=EVIL).status == 403
        assert verdicts(lb) == {"clean": 5, "blocked": 2}


def test_an_answer_that_is_inspected_is_not_kept_and_a_request_that_is_may_be_answered_so() -> None:
    def answering(_: Request) -> bytes:
        return answer(b"page", fields=[("Cache-Control", "max-age=100")])

    for what, asked in ((("answers",), 2), (("requests",), 1)):
        with (
            Engine() as engine,
            Origin(answering) as origin,
            inspected(engine, origin, what=what, cache={}) as lb,
            client(lb) as peer,
        ):
            assert [peer.ask("/").body for _ in range(2)] == [b"page"] * 2
            assert len(origin.requests) == asked
            assert len(engine.asked) == 2


def test_an_answer_without_a_body_and_a_connection_that_changes_its_protocol_pass() -> None:
    def answering(asked: Request) -> bytes:
        if asked.get("upgrade"):
            return b"HTTP/1.1 101 X\r\nUpgrade: chat\r\nConnection: Upgrade\r\n\r\n" + EVIL
        return answer(b"", 204) if asked.method == "GET" else answer(b"", length=9)

    with (
        Engine(blocking) as engine,
        Origin(answering) as origin,
        inspected(engine, origin, what=("answers",)) as lb,
        client(lb) as peer,
    ):
        assert peer.ask("/").status == 204
        assert peer.ask("/", "HEAD").get("content-length") == "9"
        assert engine.asked == []
        peer.say(request("/", fields=[("Upgrade", "chat"), ("Connection", "upgrade")]))
        assert peer.bytes_until(EVIL).startswith(b"HTTP/1.1 101")


def test_the_engine_is_not_shown_what_is_between_client_and_proxy() -> None:
    with (
        Engine() as engine,
        Origin() as origin,
        inspected(engine, origin) as lb,
        client(lb) as peer,
    ):
        fields = [
            ("Proxy-Authorization", "Basic c2VjcmV0"),
            ("Connection", "x-hop"),
            ("X-Hop", "1"),
        ]
        assert peer.ask("/q?a=1", fields=fields).status == 200
        for asked in engine.asked:
            assert asked.request.startswith(b"GET /q?a=1 HTTP/1.1\r\nHost: example.test\r\n")
            assert b"c2VjcmV0" not in asked.request
            assert b"X-Hop" not in asked.request
        assert engine.asked[1].answer.startswith(b"HTTP/1.1 200 ")


def test_verdicts_are_on_the_dashboard() -> None:
    dashboard = f"127.0.0.1:{PORTS.take()}"
    with (
        Engine(blocking) as engine,
        Origin() as origin,
        inspected(engine, origin, process={"http": dashboard}) as lb,
        client(lb) as peer,
        browser() as page,
    ):
        assert peer.ask("/a").status == 200
        assert peer.ask("/b", "POST", body=EVIL).status == 403
        page.get(f"http://{dashboard}/")
        row = "#inspections tbody tr > *"
        until(lambda: page.find_elements("css selector", row), "the rule is shown")
        shown = [one.text for one in page.find_elements("css selector", row)]
        assert shown[:6] == ["web av", "2", "0", "1", "0", "0"]
        assert not console(page)


def test_verdicts_are_in_the_log_and_in_the_metrics(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = {
        "log": {"access": str(log), "access_format": "json"},
        "http": f"127.0.0.1:{PORTS.take()}",
    }
    with (
        Engine(blocking) as engine,
        Origin() as origin,
        inspected(engine, origin, rule={"method": "POST"}, process=process) as lb,
        client(lb) as peer,
    ):
        assert [peer.ask("/").status, peer.ask("/", "POST", body=b"ok").status] == [200, 200]
        assert peer.ask("/", "POST", body=EVIL).status == 403
        until(lambda: log.exists() and len(log.read_text().splitlines()) >= 3, "three lines")
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        told = [(row.get("inspect"), row.get("verdict"), row["end"]) for row in rows]
        assert told == [
            (None, None, "answered"),
            ("av", "clean", "answered"),
            ("av", "blocked", "rejected:filter"),
        ]
        found = {
            verdict: Metrics(lb).value(
                "l4lb_inspections_total", listener="web", rule="av", verdict=verdict
            )
            for verdict in ("clean", "blocked", "failed")
        }
        assert found == {"clean": 2, "blocked": 1, "failed": 0}
