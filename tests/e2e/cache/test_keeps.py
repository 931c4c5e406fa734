"""What a cache keeps, for whom, and what it never keeps (RFC 9111, 3 and 4)."""

from __future__ import annotations

import pytest

from ..harness.http import Fields, answer, chunked
from ..harness.origin import Reply
from .conftest import KEPT, Cached

COOKIE = ("Set-Cookie", "session=secret")


def test_an_answer_is_kept_and_told_with_its_age(cached: Cached) -> None:
    cached.counts()
    first, second = cached.ask(), cached.ask()
    assert (first.body, second.body, cached.asked) == (b"1", b"1", ["GET"])
    assert first.get("age") is None
    assert 0 <= int(second.get("age") or -1) < 1000
    assert second.get("date") == first.get("date")


def test_the_answer_says_what_the_cache_did(cached: Cached) -> None:
    cached.counts()
    assert cached.ask().get("cache-status") == "l4lb; fwd=uri-miss; stored"
    status = cached.ask().get("cache-status") or ""
    assert status.startswith("l4lb; hit; ttl=")
    assert 0 < int(status.rpartition("=")[2]) <= 1000


@pytest.mark.parametrize(
    "fields",
    [
        [("Cache-Control", "no-store")],
        [("Cache-Control", "private, max-age=1000")],
        [("Cache-Control", "max-age=0")],
        [*KEPT, ("Vary", "*")],
        [*KEPT, COOKIE],
        [],
    ],
    ids=str,
)
def test_what_may_not_be_kept_is_asked_for_each_time(cached: Cached, fields: Fields) -> None:
    cached.counts(fields=fields)
    assert [cached.ask().body for _ in range(3)] == [b"1", b"2", b"3"]


def test_no_client_gets_the_cookie_of_another_one(cached: Cached) -> None:
    cached.answers(
        lambda request: answer(
            request.get("x-user").encode(),  # type: ignore[union-attr]
            fields=[*KEPT, ("Set-Cookie", f"id={request.get('x-user')}")],
        )
    )
    for user in ("ann", "ben", "ann"):
        got = cached.ask(fields=[("X-User", user)])
        assert (got.body, got.get("set-cookie")) == (user.encode(), f"id={user}")


def test_a_cookie_that_is_said_to_be_for_all_is_kept(cached: Cached) -> None:
    cached.counts(fields=[("Cache-Control", "public, max-age=1000"), COOKIE])
    assert [cached.ask().get("set-cookie") for _ in range(2)] == ["session=secret"] * 2
    assert cached.asked == ["GET"]


def test_no_client_gets_what_another_one_was_given_for_its_password(cached: Cached) -> None:
    cached.answers(
        lambda request: answer((request.get("authorization") or "none").encode(), fields=KEPT)
    )
    for user in ("ann", "ben"):
        assert cached.ask(fields=[("Authorization", user)]).body == user.encode()
    assert cached.ask().body == b"none"
    assert cached.ask(fields=[("Authorization", "ann")]).body == b"none"  # said to be for all


def test_what_was_given_for_a_password_is_kept_where_the_answer_allows_it(cached: Cached) -> None:
    cached.counts(fields=[("Cache-Control", "s-maxage=1000")])
    got = [cached.ask(fields=[("Authorization", who)]).body for who in ("ann", "ben")]
    assert got == [b"1", b"1"]


def test_each_variant_is_kept_and_told_apart_by_what_vary_names(cached: Cached) -> None:
    cached.answers(
        lambda request: answer(
            (request.get("accept-language") or "").encode(),
            fields=[*KEPT, ("Vary", "Accept-Language")],
        )
    )
    for _ in range(2):
        for language in ("de", "fr"):
            assert cached.ask(fields=[("Accept-Language", language)]).body == language.encode()
    assert len(cached.asked) == 2


def test_the_query_and_the_host_are_part_of_the_key(cached: Cached) -> None:
    cached.counts()
    assert cached.ask(more="?a=1").body == b"1"
    assert cached.ask(more="?a=2").body == b"2"
    with cached.client() as peer:
        peer.say(b"GET %b?a=1 HTTP/1.1\r\nHost: other.test\r\n\r\n" % cached.path.encode())
        assert peer.answer().body == b"3"


def test_head_is_answered_from_what_get_has_stored(cached: Cached) -> None:
    cached.counts()
    cached.ask()
    got = cached.ask("HEAD")
    assert (got.body, got.get("content-length"), cached.asked) == (b"", "1", ["GET"])


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 400_000])
def test_bodies_of_all_sizes_come_back_whole(cached: Cached, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    cached.answers(lambda _: answer(body, fields=KEPT))
    assert [cached.ask().body == body for _ in range(3)] == [True] * 3
    assert len(cached.asked) == 1


def test_a_chunked_answer_is_kept_and_told_with_its_length(cached: Cached) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nCache-Control: max-age=9\r\n\r\n"
    cached.answers(lambda _: head + chunked(b"one", b"two" * 50_000))
    cached.ask()
    got = cached.ask()
    assert got.body == b"one" + b"two" * 50_000
    assert (got.get("content-length"), got.get("transfer-encoding")) == ("150003", None)
    assert len(cached.asked) == 1


def test_an_answer_that_ends_early_is_not_kept(cached: Cached) -> None:
    def answering(_: object) -> Reply:
        if len(cached.asked) == 1:
            return Reply(answer(b"part", fields=KEPT, length=1000), "close")
        return Reply(answer(b"whole", fields=KEPT))

    cached.answers(answering)
    with cached.client() as peer:
        peer.say(b"GET %b HTTP/1.1\r\nHost: example.test\r\n\r\n" % cached.path.encode())
        assert peer.bytes_to_end().endswith(b"part")
    assert [cached.ask().body for _ in range(2)] == [b"whole"] * 2


def test_an_answer_above_max_object_passes_and_is_not_kept(cached: Cached) -> None:
    body = b"x" * (1 << 20)
    cached.answers(lambda _: answer(body + b"y", fields=KEPT))
    assert [len(cached.ask().body) for _ in range(2)] == [len(body) + 1] * 2
    assert len(cached.asked) == 2


def test_a_post_takes_out_what_was_kept_of_its_url_and_of_those_it_names(cached: Cached) -> None:
    def answering(_: object) -> bytes:
        fields = [("Location", f"{cached.path}/named"), ("Content-Location", "http://x.test/")]
        return answer(str(len(cached.asked)).encode(), 201, fields=fields)

    cached.counts()
    assert [cached.ask(more=one).body for one in ("", "/named", "/other")] == [b"1", b"2", b"3"]
    cached.answers(answering)
    cached.ask("POST", body=b"x")
    cached.counts()
    assert [cached.ask(more=one).body for one in ("", "/named", "/other")] == [b"5", b"6", b"3"]


def test_a_post_that_fails_takes_nothing_out(cached: Cached) -> None:
    cached.counts()
    cached.ask()
    cached.counts(status=500)
    cached.ask("POST", body=b"x")
    assert cached.ask().body == b"1"


def test_a_client_that_wants_only_what_is_kept_gets_504(cached: Cached) -> None:
    cached.counts()
    only = [("Cache-Control", "only-if-cached")]
    assert cached.ask(fields=only).status == 504
    cached.ask()
    assert cached.ask(fields=only).body == b"1"
    assert cached.asked == ["GET"]


def test_fields_of_the_connection_are_not_kept(cached: Cached) -> None:
    cached.counts(fields=[*KEPT, ("Connection", "X-Hop"), ("X-Hop", "1"), ("X-End", "2")])
    cached.ask()
    got = cached.ask()
    assert (got.get("x-hop"), got.get("connection"), got.get("x-end")) == (None, None, "2")


def test_a_pipelined_client_gets_its_answers_in_order(cached: Cached) -> None:
    cached.counts()
    cached.ask()
    with cached.client() as peer:
        peer.say(b"GET %b HTTP/1.1\r\nHost: example.test\r\n\r\n" % cached.path.encode() * 50)
        assert [peer.answer().body for _ in range(50)] == [b"1"] * 50
    assert len(cached.asked) == 1
