"""Conditions and ranges of clients, and questions to origins (RFC 9110, 13, 14; RFC 9111, 4.3)."""

from __future__ import annotations

import pytest

from ..harness.http import Fields, Request, answer
from ..harness.origin import Reply
from .conftest import KEPT, Cached

OLD = "Mon, 02 Nov 2020 10:00:00 GMT"
TAGGED = [*KEPT, ("ETag", '"a"'), ("Last-Modified", OLD)]
STALE = [("Cache-Control", "max-age=0"), ("ETag", '"a"')]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([("If-None-Match", '"a"')], 304),
        ([("If-None-Match", 'W/"a", "b"')], 304),
        ([("If-None-Match", "*")], 304),
        ([("If-None-Match", '"b"')], 200),
        ([("If-Modified-Since", OLD)], 304),
        ([("If-Modified-Since", "Mon, 02 Nov 2020 09:59:59 GMT")], 200),
        ([("If-Match", '"b"')], 412),
        ([("If-Match", '"a"')], 200),
        ([("If-Unmodified-Since", "Mon, 02 Nov 2020 09:59:59 GMT")], 412),
    ],
    ids=str,
)
def test_conditions_are_judged_against_what_is_kept(
    cached: Cached, fields: Fields, status: int
) -> None:
    cached.answers(lambda _: answer(b"body", fields=[*TAGGED, ("Content-Type", "text/x")]))
    cached.ask()
    got = cached.ask(fields=fields)
    assert (got.status, got.body) == (status, b"body" if status == 200 else b"")
    assert cached.asked == ["GET"]
    if status == 304:
        assert (got.get("etag"), got.get("content-type")) == ('"a"', None)


@pytest.mark.parametrize(
    ("range_", "status", "told", "body"),
    [
        ("bytes=0-3", 206, "bytes 0-3/10", b"0123"),
        ("bytes=7-", 206, "bytes 7-9/10", b"789"),
        ("bytes=-2", 206, "bytes 8-9/10", b"89"),
        ("bytes=2-99", 206, "bytes 2-9/10", b"23456789"),
        ("bytes=10-", 416, "bytes */10", b""),
        ("bytes=0-1,4-5", 200, None, b"0123456789"),
        ("lines=0-3", 200, None, b"0123456789"),
    ],
)
def test_ranges_are_cut_out_of_what_is_kept(
    cached: Cached, range_: str, status: int, told: str | None, body: bytes
) -> None:
    cached.answers(lambda _: answer(b"0123456789", fields=TAGGED))
    cached.ask()
    got = cached.ask(fields=[("Range", range_)])
    assert (got.status, got.get("content-range"), got.body) == (status, told, body)
    assert cached.asked == ["GET"]


def test_a_range_of_what_has_changed_is_the_whole(cached: Cached) -> None:
    cached.answers(lambda _: answer(b"0123456789", fields=TAGGED))
    cached.ask()
    got = cached.ask(fields=[("Range", "bytes=0-3"), ("If-Range", '"b"')])
    assert (got.status, got.body) == (200, b"0123456789")
    assert cached.ask(fields=[("Range", "bytes=0-3"), ("If-Range", '"a"')]).status == 206


def test_a_range_of_what_is_not_kept_goes_to_the_origin(cached: Cached) -> None:
    cached.answers(
        lambda request: (
            answer(b"012", 206, fields=[*TAGGED, ("Content-Range", "bytes 0-2/10")])
            if request.get("range")
            else answer(b"0123456789", fields=TAGGED)
        )
    )
    assert cached.ask(fields=[("Range", "bytes=0-2")]).status == 206
    assert cached.ask().body == b"0123456789"
    assert cached.asked == ["GET", "GET"]


def test_what_is_stale_is_asked_about_and_sent_again(cached: Cached) -> None:
    cached.answers(
        lambda request: (
            answer(b"", 304, fields=[*STALE, ("X-New", "1")], length=0)
            if request.get("if-none-match") == '"a"'
            else answer(b"body", fields=[*STALE, ("X-Old", "1")])
        )
    )
    cached.ask()
    got = cached.ask()
    assert (got.status, got.body) == (200, b"body")
    assert (got.get("x-new"), got.get("x-old")) == ("1", "1")
    assert "fwd-status=304" in (got.get("cache-status") or "")
    assert len(cached.asked) == 2


def test_the_clients_own_condition_is_judged_after_the_question(cached: Cached) -> None:
    cached.answers(
        lambda request: (
            answer(b"", 304, fields=STALE, length=0)
            if request.get("if-none-match") == '"a"'
            else answer(b"body", fields=STALE)
        )
    )
    cached.ask()
    assert cached.ask(fields=[("If-None-Match", '"b"')]).body == b"body"
    assert cached.ask(fields=[("If-None-Match", '"a"')]).status == 304
    assert [one.get("if-none-match") for one in cached.origin.requests[-2:]] == ['"a"'] * 2


def test_what_has_changed_replaces_what_is_stale(cached: Cached) -> None:
    def answering(_: object) -> bytes:
        number = len(cached.asked)
        fields = STALE if number == 1 else [*KEPT, ("ETag", '"b"')]
        return answer(str(number).encode(), fields=fields)

    cached.answers(answering)
    assert [cached.ask().body for _ in range(3)] == [b"1", b"2", b"2"]


def test_what_is_stale_is_sent_if_the_origin_fails(cached: Cached) -> None:
    fields = [("Cache-Control", "max-age=0, stale-if-error=1000"), ("ETag", '"a"')]

    def answering(_: object) -> Reply:
        number = len(cached.asked)
        if number == 1:
            return Reply(answer(b"kept", fields=fields))
        return Reply(answer(b"oh", 503)) if number == 2 else Reply(b"", "close")

    cached.answers(answering)
    got = [cached.ask() for _ in range(3)]
    assert [one.body for one in got] == [b"kept"] * 3
    assert len(cached.asked) >= 3


def test_an_error_is_told_if_what_is_stale_may_not_be_used(cached: Cached) -> None:
    fields = [("Cache-Control", "max-age=0, must-revalidate"), ("ETag", '"a"')]
    cached.answers(
        lambda _: answer(b"kept", fields=fields) if len(cached.asked) == 1 else answer(b"oh", 503)
    )
    assert [cached.ask().status for _ in range(2)] == [200, 503]


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ("Range: bytes=0-3", b"206 Partial Content"),
        ("Range: bytes=99-", b"416 Range Not Satisfiable"),
        ('If-None-Match: "a"', b"304 Not Modified"),
        ('If-Match: "b"', b"412 Precondition Failed"),
        ("X-None: 1", b"200 Fine"),
    ],
)
def test_a_status_of_our_own_has_its_own_words(cached: Cached, field: str, line: bytes) -> None:
    said = answer(b"0123456789", fields=[*KEPT, ("ETag", '"a"')])
    cached.answers(lambda _: b"HTTP/1.1 200 Fine\r\n" + said.split(b"\r\n", 1)[1])
    cached.ask()
    with cached.client() as peer:
        peer.say(f"GET {cached.path} HTTP/1.1\r\nHost: example.test\r\n{field}\r\n\r\n".encode())
        assert peer.bytes_until(b"\r\n") == b"HTTP/1.1 " + line + b"\r\n"


@pytest.mark.parametrize(
    ("told", "holds"),
    [
        ([("ETag", '"a"')], True),
        ([("ETag", '"b"')], False),
        ([("Last-Modified", OLD)], True),
        ([("Last-Modified", "Mon, 02 Nov 2020 10:00:01 GMT")], False),
        ([], True),
    ],
)
def test_the_answer_to_head_tells_of_what_is_kept(
    cached: Cached, told: Fields, holds: bool
) -> None:
    """RFC 9111, 4.3.5."""

    def answering(asked: Request) -> bytes:
        if asked.method == "HEAD":
            return answer(fields=[*KEPT, *told, ("X-New", "1")], length=4)
        said = f"body{'' if len(cached.asked) == 1 else 's'}".encode()
        return answer(said, fields=[*STALE, ("Last-Modified", OLD)])

    cached.answers(answering)
    assert cached.ask().body == b"body"
    assert cached.ask("HEAD").get("x-new") == "1"
    got = cached.ask()
    assert (got.body, got.get("x-new")) == ((b"body", "1") if holds else (b"bodys", None))
    assert cached.asked == ["GET", "HEAD"] + ["GET"] * (not holds)


def test_a_head_of_another_length_takes_out_what_is_kept(cached: Cached) -> None:
    cached.answers(
        lambda asked: (
            answer(fields=KEPT, length=9)
            if asked.method == "HEAD"
            else answer(str(len(cached.asked)).encode(), fields=[*STALE])
        )
    )
    cached.ask()
    cached.ask("HEAD")
    assert cached.ask().body == b"3"
    assert [one.get("if-none-match") for one in cached.origin.requests[-3:]] == [None] * 3
