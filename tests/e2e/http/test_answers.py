"""Answers: every framing reaches every client whole, and a client can tell one that was cut off."""

from __future__ import annotations

import pytest

from ..harness import Door, reset, until
from ..harness.http import CutOffError, Peer, answer, before, chunked, client, request
from ..harness.origin import Reply
from .conftest import Pair

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def told(
    pair: Pair, said: bytes, method: str = "GET", version: str = "1.1", then: str = "stay"
) -> bytes:
    """Returns all that a client gets for this answer, on a connection that ends with it."""
    pair.answers(lambda _: Reply(said, then))
    with pair.client() as peer:
        close = [("Connection", "close")] if version == "1.1" else []
        peer.say(request("/", method, version=version, fields=close))
        return peer.bytes_to_end()


def heard(pair: Pair, said: bytes, method: str = "GET", then: str = "stay") -> list[bytes]:
    """Returns the bodies of three answers on one connection of a client."""
    pair.answers(lambda _: Reply(said, then))
    with pair.client() as peer:
        bodies = [peer.ask("/", method).body for _ in range(3)]
        assert peer.is_quiet()
        return bodies


def test_a_chunked_answer_is_chunked_anew_and_its_trailers_are_dropped(pair: Pair) -> None:
    body = chunked(b"one", b"two" * 1000, b"\0", trailers=b"X-Trailer: no\r\n")
    assert heard(pair, CHUNKED + body) == [b"one" + b"two" * 1000 + b"\0"] * 3


def test_chunk_extensions_are_not_passed_on(pair: Pair) -> None:
    said = CHUNKED + b'4;secret="x"\r\nwell\r\n0;more\r\n\r\n'
    assert heard(pair, said) == [b"well"] * 3
    assert b"secret" not in told(pair, said)
    assert b"more" not in told(pair, said)


@pytest.mark.parametrize("step", [1, 3])
def test_a_chunked_answer_that_comes_byte_by_byte_is_whole(step: int) -> None:
    said = CHUNKED + chunked(b"a", b"bc" * 40, trailers=b"A: b\r\n")
    with Door() as door, before([door.address]) as lb, client(lb) as peer:
        peer.say(request("/"))
        with Peer(door.accept()) as backend:
            for _ in range(2):
                backend.request()
                backend.say_slowly(said, step)
                assert peer.answer().body == b"a" + b"bc" * 40
                peer.say(request("/"))
            backend.request()


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_an_answer_until_close_is_chunked_for_a_client_of_1_1(pair: Pair, size: int) -> None:
    said = OK + b"X-A: b\r\n\r\n" + b"u" * size
    assert heard(pair, said, then="close") == [b"u" * size] * 3


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_an_answer_until_close_ends_so_for_a_client_of_1_0(pair: Pair, size: int) -> None:
    got = told(pair, OK + b"\r\n" + b"u" * size, version="1.0", then="close")
    head, _, body = got.partition(b"\r\n\r\n")
    assert body == b"u" * size
    assert b"transfer-encoding" not in head.lower()
    assert b"content-length" not in head.lower()


def test_a_chunked_answer_is_plain_for_a_client_of_1_0(pair: Pair) -> None:
    got = told(pair, CHUNKED + chunked(b"one", b"two"), version="1.0")
    head, _, body = got.partition(b"\r\n\r\n")
    assert body == b"onetwo"
    assert b"chunked" not in head


def test_head_gets_the_length_and_no_body(pair: Pair) -> None:
    pair.answers(lambda _: answer(b"", length=12345))
    with pair.client() as peer:
        for _ in range(3):
            got = peer.ask("/", "HEAD")
            assert (got.get("content-length"), got.body) == ("12345", b"")
        assert peer.is_quiet()
    assert len({asked.connection for asked in pair.origin.requests}) == 1


def test_head_of_a_chunked_answer_has_no_body(pair: Pair) -> None:
    assert heard(pair, CHUNKED, "HEAD") == [b""] * 3


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_does_not_wait_for_one(pair: Pair, status: int) -> None:
    said = f"HTTP/1.1 {status} X\r\nETag: x\r\n\r\n".encode()
    assert heard(pair, said) == [b""] * 3


def test_304_may_tell_a_length_and_has_no_body(pair: Pair) -> None:
    said = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\nETag: x\r\n\r\n"
    assert heard(pair, said) == [b""] * 3


def test_early_hints_come_before_the_answer(pair: Pair) -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    pair.answers(lambda _: hint + hint + answer(b"page"))
    with pair.client() as peer:
        got = peer.ask()
        assert (got.informed, got.body) == ((103, 103), b"page")
        peer.say(request("/", version="1.0", fields=[("Connection", "keep-alive")]))
        got = peer.answer()
        assert (got.informed, got.body) == ((), b"page")


def test_too_many_answers_before_the_final_one_are_a_bad_answer(pair: Pair) -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    pair.answers(lambda _: hint * 50 + answer(b"page"))
    with pair.client() as peer:
        assert peer.ask().status == 502


def test_100_continue_of_the_backend_lets_the_client_send_its_body() -> None:
    with Door() as door, before([door.address]) as lb, client(lb) as peer:
        said = request("/", "POST", fields=[("Expect", "100-continue"), ("Content-Length", "4")])
        peer.say(said)
        with Peer(door.accept()) as backend:
            head = backend.bytes_until(b"\r\n\r\n")
            assert b"expect: 100-continue" in head.lower()
            backend.say(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert peer.bytes_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
            peer.say(b"body")
            assert backend.bytes_until(b"body") == b"body"
            backend.say(answer(b"done"))
            assert peer.answer("POST").body == b"done"


def test_a_backend_may_answer_an_expecting_client_without_its_body() -> None:
    """Nobody knows whether the body comes, so neither connection is used again."""
    with Door() as door, before([door.address]) as lb, client(lb) as peer:
        said = request("/", "POST", fields=[("Expect", "100-continue"), ("Content-Length", "4")])
        peer.say(said)
        with Peer(door.accept()) as backend:
            backend.bytes_until(b"\r\n\r\n")
            backend.say(answer(b"no", 403))
            got = peer.answer("POST")
            assert (got.status, got.body, got.closes) == (403, b"no", True)
            assert peer.ended() == "fin"
            assert backend.ended() in ("fin", "reset")


def test_an_answer_shorter_than_its_length_is_cut_off_for_the_client(
    pair: Pair,
) -> None:
    cut = Reply(answer(b"x" * 10, length=1000), "close")
    pair.answers(lambda _: cut)
    with pair.client() as peer:
        with pytest.raises(CutOffError) as caught:
            peer.ask()
        assert caught.value.got in (b"", b"x" * 10)


@pytest.mark.parametrize("then", ["close", "reset"])
def test_a_chunked_answer_that_is_cut_off_is_cut_off_for_the_client(pair: Pair, then: str) -> None:
    cut = Reply(CHUNKED + b"5\r\nhello\r\n", then)
    pair.answers(lambda _: cut)
    with pair.client() as peer, pytest.raises(CutOffError):
        peer.ask()


def test_a_chunked_answer_that_is_cut_off_looks_cut_off_to_an_old_client_too(pair: Pair) -> None:
    """To a client of HTTP/1.0 its answer is whole when the connection ends in order."""
    pair.answers(lambda _: Reply(CHUNKED + b"5\r\nhello\r\n", "close"))
    with pair.client() as peer:
        peer.say(request("/", version="1.0"))
        with pytest.raises(CutOffError, match="reset"):
            peer.answer()


def test_an_answer_until_close_that_is_reset_is_cut_off_for_the_client() -> None:
    with Door() as door, before([door.address]) as lb, client(lb) as peer:
        peer.say(request("/"))
        backend = Peer(door.accept())
        backend.request()
        backend.say(OK + b"\r\n" + b"x" * 1000)
        assert b"x" * 10 in peer.bytes_until(b"x" * 10)
        reset(backend.sock)
        assert not peer.bytes_to_end().endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    "said",
    [
        b"\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: b\0c\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 99 OK\r\nContent-Length: 0\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n",
        CHUNKED + b"zz\r\n",
    ],
)
def test_an_answer_that_is_no_http_is_502(pair: Pair, said: bytes) -> None:
    pair.answers(lambda _: Reply(said, "close"))
    with pair.client() as peer:
        got = peer.ask()
        assert got.status == 502
        assert peer.ask("/again").status == 502, "the client's connection is kept"


def test_a_broken_chunk_after_the_head_cuts_the_answer_off() -> None:
    with Door() as door, before([door.address]) as lb, client(lb) as peer:
        peer.say(request("/"))
        with Peer(door.accept()) as backend:
            backend.request()
            backend.say(CHUNKED + b"5\r\nhello\r\n")
            assert b"hello" in peer.bytes_until(b"hello")
            backend.say(b"-1\r\n")
            assert not peer.bytes_to_end().endswith(b"0\r\n\r\n")


def test_an_answer_before_the_body_is_whole_reaches_the_client() -> None:
    """The backend refuses an upload at once; the client goes on sending for a while."""
    refusal = answer(b"too big", 413, fields=[("Connection", "close")])
    with Door() as door, before([door.address], http={"max_body": "0B"}) as lb:
        with client(lb) as peer:
            size = 50 << 20
            peer.say(request("/", "POST", fields=[("Content-Length", f"{size}")]) + b"x" * 1000)
            with Peer(door.accept()) as backend:
                backend.bytes_until(b"xxx")
                backend.say(refusal)
                backend.sock.shutdown(1)
                got = peer.answer("POST")
                assert (got.status, got.body) == (413, b"too big")
        until(lambda: sum(lb.active()) == 0, "the session ends")


def test_an_early_answer_and_then_the_rest_of_the_body_leaves_both_connections_usable() -> None:
    with Door() as door, before([door.address]) as lb, client(lb) as peer:
        peer.say(request("/0", "POST", fields=[("Content-Length", "10")]) + b"01234")
        with Peer(door.accept()) as backend:
            backend.bytes_until(b"01234")
            backend.say(answer(b"early"))
            assert peer.answer("POST").body == b"early"
            peer.say(b"56789" + request("/1"))
            assert backend.bytes_until(b"56789") == b"56789"
            assert backend.request().target == "/1"
            backend.say(answer(b"next"))
            assert peer.answer().body == b"next"
