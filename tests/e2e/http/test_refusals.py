"""Requests that are refused: each gets its status, and nothing of it reaches a backend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from ..harness import Balancer, until
from ..harness.http import Peer, answer, before, chunked, client, outcome, request
from ..harness.origin import Origin, Reply
from .conftest import Pair

HOST = b"Host: example.test\r\n"
POST = b"POST /bad HTTP/1.1\r\n" + HOST

BAD = {
    "bare LF": b"GET /bad HTTP/1.1\nHost: x\n\n",
    "bare LF in a field": b"GET /bad HTTP/1.1\r\nHost: x\nX-A: b\r\n\r\n",
    "bare CR": b"GET /bad HTTP/1.1\r\nHost: x\r\nX-A: b\rc\r\n\r\n",
    "NUL in a value": b"GET /bad HTTP/1.1\r\nHost: x\r\nX-A: b\0c\r\n\r\n",
    "control byte": b"GET /bad HTTP/1.1\r\nHost: x\r\nX-A: b\x07c\r\n\r\n",
    "space before colon": b"GET /bad HTTP/1.1\r\nHost: x\r\nX-A : b\r\n\r\n",
    "folded field": b"GET /bad HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n",
    "no name": b"GET /bad HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
    "no colon": b"GET /bad HTTP/1.1\r\nHost: x\r\nhello\r\n\r\n",
    "two spaces": b"GET  /bad HTTP/1.1\r\nHost: x\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\nHost: x\r\n\r\n",
    "relative target": b"GET bad HTTP/1.1\r\nHost: x\r\n\r\n",
    "fragment": b"GET /bad#x HTTP/1.1\r\nHost: x\r\n\r\n",
    "broken escape": b"GET /bad%zz HTTP/1.1\r\nHost: x\r\n\r\n",
    "escaped NUL": b"GET /bad%00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "above the root": b"GET /../bad HTTP/1.1\r\nHost: x\r\n\r\n",
    "8-bit target": b"GET /bad\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "no host": b"GET /bad HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /bad HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n",
    "a host that is none": b"GET /bad HTTP/1.1\r\nHost: a b\r\n\r\n",
    "a host with a path": b"GET /bad HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "a list of lengths": POST + b"Content-Length: 1, 1\r\n\r\nx",
    "a signed length": POST + b"Content-Length: +1\r\n\r\nx",
    "an empty length": POST + b"Content-Length: \r\n\r\n",
    "a hex length": POST + b"Content-Length: 0x1\r\n\r\nx",
    "a length beyond all": POST + b"Content-Length: 99999999999999999999\r\n\r\nx",
    "length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two codings": POST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks of 1.0": b"POST /bad HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "connection names host": b"GET /bad HTTP/1.1\r\nHost: x\r\nConnection: host\r\n\r\n",
    "connection names length": POST + b"Connection: content-length\r\nContent-Length: 1\r\n\r\nx",
    "an empty chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n\r\n",
    "a signed chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n",
    "a chunk line of LF": POST + b"Transfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n",
    "a chunk without end": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
    "TLS in the clear": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 50 + b"\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}
OTHER = {
    501: POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    505: b"GET /bad HTTP/3.0\r\nHost: x\r\n\r\n",
    417: POST + b"Expect: a-miracle\r\nContent-Length: 0\r\n\r\n",
    405: b"CONNECT example.test:443 HTTP/1.1\r\nHost: example.test:443\r\n\r\n",
    413: POST + b"Content-Length: 1048577\r\n\r\n",
    414: b"GET /bad" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    431: b"GET /bad HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 101 + b"\r\n",
}


def refused(pair: Pair, said: bytes, step: int) -> int | str:
    """Says it, behind a good request and with another behind it. Returns its outcome."""
    with pair.client() as peer:
        assert peer.ask("/good").status == 200
        peer.say_slowly(said + request("/behind"), step)
        status = outcome(peer)
        assert outcome(peer) == "cut", "nothing behind it is answered"
    assert [one for one in pair.origin.targets() if one != "/good"] == []
    return status


@pytest.mark.parametrize("step", [1 << 20, 5])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_gets_400_and_nothing_of_it_reaches_a_backend(
    pair: Pair, name: str, step: int
) -> None:
    wanted = {400, 505} if name == "HTTP/2" else {400}
    assert refused(pair, BAD[name], step) in wanted


@pytest.mark.parametrize("status", OTHER)
def test_other_refusals_have_their_own_status(pair: Pair, status: int) -> None:
    assert refused(pair, OTHER[status], 1 << 20) == status


def test_a_head_beyond_the_limit_gets_431(pair: Pair) -> None:
    said = b"GET /bad HTTP/1.1\r\nHost: x\r\n" + b"X-A: " + b"b" * 40_000 + b"\r\n\r\n"
    assert refused(pair, said, 1 << 20) == 431


def test_a_refusal_is_in_the_log_of_the_client_not_a_cut_connection(pair: Pair) -> None:
    """The client reads the status, although it has sent more than was read."""
    with pair.client() as peer:
        peer.say(b"GET /bad HTTP/1.1\nHost: x\n\n" + b"y" * 200_000)
        got = peer.answer()
        assert (got.status, got.closes) == (400, True)
        assert got.body.startswith(b"400 ")


def test_a_chunked_body_beyond_max_body_gets_413(pair: Pair) -> None:
    with pair.client() as peer:
        peer.say(request("/bad", "POST", fields=[("Transfer-Encoding", "chunked")]))
        peer.say(chunked(*[b"x" * 10_000] * 110))
        assert peer.answer("POST").status == 413


@dataclass
class Limited:
    lb: Balancer
    origin: Origin


@pytest.fixture(scope="module")
def limited() -> Iterator[Limited]:
    http: dict[str, Any] = {
        "max_head": "2KiB",
        "max_fields": 5,
        "max_target": "300B",
        "max_body": "10B",
        "head_timeout": "400ms",
        "underscores": "refuse",
    }
    with Origin() as origin, before([origin.row], http=http) as lb:
        yield Limited(lb, origin)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (request("/", fields=[("X-A", "b" * 2010)]), 431),
        (request("/", fields=[("A", "b")] * 4), 200),
        (request("/", fields=[("A", "b")] * 5), 431),
        (request("/" + "x" * 299), 200),
        (request("/" + "x" * 300), 414),
        (request("/", "POST", body=b"x" * 10), 200),
        (request("/", "POST", body=b"x" * 11), 413),
        (request("/", fields=[("X_Under", "b")]), 400),
    ],
)
def test_limits_of_a_listener_are_exact(limited: Limited, said: bytes, status: int) -> None:
    with client(limited.lb) as peer:
        peer.say(said)
        assert outcome(peer) == status


def test_a_slow_head_gets_408(limited: Limited) -> None:
    with client(limited.lb) as peer:
        peer.say(b"GET /slow HTTP/1.1\r\nHost: x\r\n")
        got = peer.answer()
        assert (got.status, got.closes) == (408, True)
        assert peer.ended() == "fin"


def test_a_head_that_drips_in_gets_no_more_time(limited: Limited) -> None:
    with client(limited.lb) as peer:
        peer.say(b"GET /slow HTTP/1.1\r\nHost: x\r\n")

        def drip() -> bool:
            peer.say(b"X: y\r\n")
            return not peer.is_quiet()

        until(drip, "it is refused", every_s=0.1, timeout_s=5)
        assert outcome(peer) == 408
    assert "/slow" not in limited.origin.targets()


def test_a_client_that_says_nothing_is_closed_without_an_answer(limited: Limited) -> None:
    with client(limited.lb) as peer:
        assert peer.bytes_to_end() == b""


def test_a_refused_client_does_not_harm_the_next_request_to_the_backend(pair: Pair) -> None:
    """A chunked body that breaks midway ends its backend's connection too."""
    pair.answers(lambda asked: Reply(answer(asked.body)))
    for _ in range(3):
        with pair.client() as peer:
            said = request("/x", "POST", fields=[("Transfer-Encoding", "chunked")])
            peer.say(said + b"5\r\nhello\r\n")
            peer.say(b"bad\n")
            assert outcome(peer, "POST") == 400
        with pair.client() as peer:
            assert peer.ask("/y", "POST", body=b"fine").body == b"fine"


def test_bytes_that_are_no_request_before_a_request_are_refused(pair: Pair) -> None:
    with pair.client() as peer:
        peer.say(b"\r\n" + request("/a"))
        assert outcome(peer) == 200, "one empty line is tolerated (RFC 9112, 2.2)"
        peer.say(b"\r\n\r\n\r\n" + request("/b"))
        assert outcome(peer) == 400


def ends(lb: Balancer, reason: str) -> int:
    return int(lb.ask("stats")["ended"].get(reason, 0))


def test_a_connection_that_was_refused_ends_with_its_reason(pair: Pair) -> None:
    before_it = ends(pair.lb, "rejected:bad_request")
    with pair.client() as peer:
        peer.say(b"GET / HTTP/1.1\n\n")
        assert outcome(peer) == 400
    until(lambda: ends(pair.lb, "rejected:bad_request") == before_it + 1, "it is counted")


def test_many_refusals_leave_no_session_behind(pair: Pair) -> None:
    peers: list[Peer] = [pair.client() for _ in range(50)]
    for n, peer in enumerate(peers):
        peer.say(list(BAD.values())[n % len(BAD)])
        peer.sock.close()
    until(lambda: sum(pair.lb.active()) == 0, "no session is left")
