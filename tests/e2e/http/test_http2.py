"""HTTP/2 with clients: requests and answers through the installed program, with the h2 library as
client."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import pytest

from ..harness import Balancer
from ..harness.http import Request, answer, before, chunked
from ..harness.http2 import Http2, client
from ..harness.origin import Origin, Reply
from .conftest import Pair

REFUSED, PROTOCOL_ERROR, INTERNAL_ERROR = 7, 1, 2


@pytest.fixture
def h2(pair: Pair) -> Iterator[Http2]:
    with client(pair.lb) as one:
        yield one


def echo(request: Request) -> bytes:
    return answer(request.body, fields=[("X-Method", request.method)])


def test_a_request_reaches_its_backend_as_http_1(pair: Pair, h2: Http2) -> None:
    got = h2.ask("/a?b=c", fields=[("accept", "x/y"), ("x-one", "1")], host="shop.example:81")
    assert (got.status, bytes(got.body)) == (200, b"a /a?b=c")
    [seen] = pair.origin.requests
    assert (seen.version, seen.get("host")) == ("1.1", "shop.example:81")
    assert (seen.get("accept"), seen.get("x-one")) == ("x/y", "1")
    assert seen.get("x-forwarded-proto") == "http"
    assert seen.get("content-length") is None
    assert seen.get("transfer-encoding") is None


def test_fields_of_a_connection_do_not_come_back(pair: Pair, h2: Http2) -> None:
    said = [("Keep-Alive", "timeout=5"), ("X-Own", "v"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b")]
    pair.answers(lambda _: answer(b"x", fields=said))
    got = h2.ask()
    names = [name for name, _ in got.fields]
    assert not {"connection", "keep-alive", "transfer-encoding"} & set(names)
    assert got.get("x-own") == "v"
    assert got.get("content-length") == "1"
    assert [value for name, value in got.fields if name == "set-cookie"] == ["a=1", "b"]
    assert all(name == name.lower() for name in names)


def test_head_and_statuses_without_a_body_end_with_their_fields(pair: Pair, h2: Http2) -> None:
    pair.answers(lambda _: b"HTTP/1.1 200 X\r\nContent-Length: 700\r\n\r\n")
    got = h2.ask(method="HEAD")
    assert (got.status, got.get("content-length"), bytes(got.body)) == (200, "700", b"")
    for status in (204, 304):
        pair.answers(lambda _, status=status: f"HTTP/1.1 {status} X\r\n\r\n".encode())
        got = h2.ask()
        assert (got.status, bytes(got.body), got.ended) == (status, b"", True)
    pair.answers(lambda _: answer(b""))
    assert h2.ask().ended


def test_early_hints_come_before_the_answer(pair: Pair, h2: Http2) -> None:
    hint = b"HTTP/1.1 103 Early\r\nLink: </a.css>\r\n\r\n"
    pair.answers(lambda _: hint + hint + answer(b"x"))
    got = h2.ask()
    assert (got.before, got.status, bytes(got.body)) == ([103, 103], 200, b"x")


@pytest.mark.parametrize("size", [1, 5000, 300_000])
def test_a_chunked_answer_comes_without_chunks_and_without_trailers(
    pair: Pair, h2: Http2, size: int
) -> None:
    body = random.Random(size).randbytes(size)
    parts = [body[: size // 3], body[size // 3 :]]
    head = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n"
    pair.answers(lambda _: head + chunked(*parts, trailers=b"X-T: 1\r\n"))
    got = h2.ask()
    assert bytes(got.body) == body
    assert got.ended
    assert not got.trailers


@pytest.mark.parametrize("size", [0, 300_000])
def test_an_answer_that_ends_with_its_connection_ends_its_stream(
    pair: Pair, h2: Http2, size: int
) -> None:
    body = random.Random(size).randbytes(size)
    pair.answers(lambda _: Reply(b"HTTP/1.1 200 X\r\n\r\n" + body, then="close"))
    got = h2.ask()
    assert bytes(got.body) == body
    assert got.ended


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
        b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nabcde",
    ],
)
def test_an_answer_that_is_cut_resets_its_stream_alone(pair: Pair, h2: Http2, said: bytes) -> None:
    pair.answers(lambda _: Reply(said, then="close"))
    got = h2.ask()
    assert (got.status, bytes(got.body), got.ended, got.reset) == (
        200, b"abcde", False, INTERNAL_ERROR,
    )  # fmt: skip
    pair.answers(lambda _: answer(b"whole"))
    assert bytes(h2.ask().body) == b"whole"


def test_a_backend_that_answers_nonsense_is_502(pair: Pair, h2: Http2) -> None:
    pair.answers(lambda _: Reply(b"nonsense\r\n\r\n", then="close"))
    got = h2.ask()
    assert (got.status, got.ended) == (502, True)


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("size", [0, 10, 200_000])
def test_a_body_reaches_the_backend_whole(pair: Pair, h2: Http2, size: int, told: bool) -> None:
    body = random.Random(size).randbytes(size)
    pair.answers(echo)
    fields = [("content-length", str(size))] if told else []
    got = h2.ask(method="POST", fields=fields, body=body)
    assert bytes(got.body) == body
    [seen] = pair.origin.requests
    assert seen.body == body
    assert (seen.get("transfer-encoding") is None) == told


def test_a_post_without_a_body_tells_so(pair: Pair, h2: Http2) -> None:
    pair.answers(echo)
    assert h2.ask(method="POST").status == 200
    assert pair.origin.requests[0].get("content-length") == "0"


def test_crumbs_of_a_cookie_are_joined(pair: Pair, h2: Http2) -> None:
    crumbs = [("cookie", "a=1"), ("cookie", "b=2"), ("x-y", "z"), ("cookie", "c=3")]
    assert h2.ask(fields=crumbs).status == 200
    assert pair.origin.requests[0].all("cookie") == ["a=1; b=2; c=3"]


def test_trailers_of_a_request_are_dropped(pair: Pair, h2: Http2) -> None:
    pair.answers(echo)
    stream = h2.begin(method="POST", ends=False)
    h2.send(stream, b"abc", ends=False)
    h2.h2.send_headers(stream, [("x-trailer", "1")], end_stream=True)
    h2.flush()
    assert bytes(h2.answer(stream).body) == b"abc"
    assert pair.origin.requests[0].get("x-trailer") is None


MALFORMED: dict[str, list[tuple[str, str]]] = {
    "upper case": [("X-Upper", "1")],
    "connection": [("connection", "close")],
    "transfer-encoding": [("transfer-encoding", "chunked")],
    "upgrade": [("upgrade", "h2c")],
    "te": [("te", "gzip")],
    "late pseudo": [("a", "b"), (":path", "/")],
    "second path": [(":path", "/")],
    "unknown pseudo": [(":what", "x")],
    "status": [(":status", "200")],
    "line feed": [("a", "b\nc: d")],
    "carriage return": [("a", "b\rc")],
    "nul": [("a", "b\0c")],
    "space in a name": [("a b", "c")],
    "colon in a name": [("a:b", "c")],
    "empty name": [("", "c")],
    "two lengths": [("content-length", "0"), ("content-length", "0")],
    "length without a body": [("content-length", "5")],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_resets_its_stream_and_reaches_nobody(
    pair: Pair, h2: Http2, name: str
) -> None:
    pseudo = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "h")]
    got = h2.answer(h2.begin_raw(pseudo + MALFORMED[name]))
    assert (got.status, got.reset) == (0, PROTOCOL_ERROR)
    assert h2.ask("/next").status == 200
    assert [seen.target for seen in pair.origin.requests] == ["/next"]


@pytest.mark.parametrize(
    "pseudo",
    [
        [(":method", "GET"), (":scheme", "http"), (":authority", "h")],
        [(":scheme", "http"), (":path", "/"), (":authority", "h")],
        [(":method", "GET"), (":path", "/"), (":authority", "h")],
        [(":method", "GET"), (":scheme", "http"), (":path", "/")],
        [(":method", "GET"), (":scheme", "http"), (":path", "http://evil/"), (":authority", "h")],
        [(":method", "GET"), (":scheme", "http"), (":path", ""), (":authority", "h")],
        [(":method", "GET"), (":scheme", "ftp"), (":path", "/"), (":authority", "h")],
        [(":method", "GET /x HTTP/1.1\r\na:"), (":scheme", "http"), (":path", "/")],
        [(":method", "GET"), (":scheme", "http"), (":path", "/ HTTP/1.1\r\na: b")],
        [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "h\r\na: b")],
    ],
)
def test_a_request_line_that_is_none_resets_its_stream(
    pair: Pair, h2: Http2, pseudo: list[tuple[str, str]]
) -> None:
    got = h2.answer(h2.begin_raw(pseudo))
    assert (got.status, got.reset) == (0, PROTOCOL_ERROR)
    assert not pair.origin.requests


@pytest.mark.parametrize(
    ("status", "pseudo", "fields"),
    [
        (400, {":authority": "h"}, [("host", "other")]),
        (200, {":authority": "H"}, [("host", "h")]),
        (200, {}, [("host", "h")]),
        (400, {":authority": "user@h"}, []),
        (400, {":path": "/a/%2"}, [("host", "h")]),
        (400, {":path": "/../../etc"}, [("host", "h")]),
        (405, {":method": "TRACE"}, [("host", "h")]),
        (431, {}, [("host", "h"), ("x", "y" * 40_000)]),
        (431, {}, [("host", "h"), *((f"x-{i}", "y") for i in range(200))]),
        (431, {}, [("host", "h"), *((f"x-{i}", "y" * 1000) for i in range(100))]),
        (414, {":path": "/" + "x" * 9000}, [("host", "h")]),
        (413, {":method": "POST"}, [("host", "h"), ("content-length", str(2 << 20))]),
    ],
)
def test_the_judge_of_http_1_judges_these_requests_too(
    pair: Pair,
    h2: Http2,
    status: int,
    pseudo: dict[str, str],
    fields: list[tuple[str, str]],
) -> None:
    given = {":method": "GET", ":scheme": "http", ":path": "/"} | pseudo
    got = h2.answer(h2.begin_raw([*given.items(), *fields], ends="POST" not in given.values()))
    assert got.status == status
    assert got.ended
    assert len(pair.origin.requests) == (status == 200)
    assert h2.ask("/next").status == 200


def test_connect_is_not_served(pair: Pair, h2: Http2) -> None:
    got = h2.answer(h2.begin_raw([(":method", "CONNECT"), (":authority", "h:80")]))
    assert got.status == 405
    assert not pair.origin.requests


def test_requests_share_a_connection_and_do_not_wait_for_each_other(pair: Pair, h2: Http2) -> None:
    free = threading.Event()

    def answering(request: Request) -> bytes:
        if request.target == "/slow":
            assert free.wait(30)
        return answer(request.target.encode())

    pair.answers(answering)
    slow = h2.begin("/slow")
    assert bytes(h2.ask("/fast").body) == b"/fast"
    free.set()
    assert bytes(h2.answer(slow).body) == b"/slow"


def test_sixteen_clients_with_sixteen_streams_get_their_own_answers() -> None:
    def answering(request: Request) -> bytes:
        return answer(request.target.encode() * random.randint(1, 2000))

    def work(lb: Balancer, number: int, faults: list[str]) -> None:
        with client(lb) as one:
            for turn in range(8):
                paths = [f"/{number}/{turn}/{i}/" for i in range(16)]
                streams = [one.begin(path) for path in paths]
                for path, stream in zip(paths, streams, strict=True):
                    got = one.answer(stream)
                    times = len(got.body) // len(path)
                    if got.status != 200 or not times or bytes(got.body) != path.encode() * times:
                        faults.append(path)

    with Origin(answering) as origin, before([origin.row], workers=2) as lb:
        faults: list[str] = []
        threads = [threading.Thread(target=work, args=(lb, i, faults)) for i in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert not faults
        assert not any(thread.is_alive() for thread in threads)
        assert len(origin.requests) == 16 * 16 * 8


def test_a_large_body_each_way_is_exact() -> None:
    body = random.Random(5).randbytes(6 << 20)
    with (
        Origin(echo) as origin,
        before([origin.row], http={"max_body": "0B"}) as lb,
        client(lb) as one,
    ):
        assert bytes(one.ask(method="PUT", body=body).body) == body
        assert origin.requests[0].body == body


def test_a_client_that_opens_its_windows_slowly_gets_all_bytes_in_order(pair: Pair) -> None:
    body = random.Random(6).randbytes(700_000)
    pair.answers(lambda request: answer(body if request.target == "/big" else b"small"))
    with client(pair.lb, window=3000, reads=False) as one:
        one.h2.increment_flow_control_window(1 << 20)
        stream = one.begin("/big")
        got = one.answers[stream]
        while len(got.body) < 3000:
            one.turn()
        assert bytes(one.ask("/small").body) == b"small"
        while not got.ended:
            if one.h2.remote_flow_control_window(stream) == 0:
                one.h2.increment_flow_control_window(2777, stream)
                one.flush()
            one.turn()
        assert bytes(got.body) == body


def test_a_stream_that_its_client_resets_ends_its_request(pair: Pair, h2: Http2) -> None:
    begun, free = threading.Event(), threading.Event()

    def answering(_: Request) -> bytes:
        begun.set()
        free.wait(30)
        return answer(b"late")

    pair.answers(answering)
    stream = h2.begin("/given-up")
    assert begun.wait(30)
    h2.h2.reset_stream(stream, 8)
    h2.flush()
    pair.answers(lambda _: answer(b"next"))
    assert bytes(h2.ask().body) == b"next"
    free.set()


def test_a_listener_without_http_2_does_not_speak_it() -> None:
    with (
        Origin() as origin,
        before([origin.row], http={"http2": {"streams": 0}}) as lb,
        client(lb) as one,
    ):
        one.sock.settimeout(30)
        assert b"HTTP/1.1 " in one.sock.recv(1 << 16)
        assert not origin.requests


def test_expect_is_passed_on_and_answered_by_the_backend(pair: Pair, h2: Http2) -> None:
    pair.answers(echo)
    stream = h2.begin(method="POST", fields=[("content-length", "3")], ends=False)
    h2.send(stream, b"abc")
    assert bytes(h2.answer(stream).body) == b"abc"
