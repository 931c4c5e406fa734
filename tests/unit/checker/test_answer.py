"""HTTP answers as servers send them, cut anywhere; h11 is the oracle for strict ones."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.checker.answer import Answer, NotHttpError
from l4lb.checker.limits import ANSWER_BYTES_MAX, HEAD_BYTES_MAX, LINE_BYTES_MAX

Read = tuple[int, str, bytes, bool]


def read(data: bytes, *cuts: int, method: str = "GET") -> Read | str:
    """Returns status, reason, body, and whether the answer was complete before the end; or the
    error."""
    answer = Answer(method)
    try:
        for first, last in zip((0, *cuts), (*cuts, len(data)), strict=True):
            answer.feed(data[first:last])
    except NotHttpError:
        return "not HTTP"
    complete = answer.complete
    answer.end()
    return answer.status, answer.reason, answer.body, complete


def feed(answer: Answer, part: bytes) -> None:
    """Feeds the bytes again and again, far beyond every limit of a header."""
    for _ in range(HEAD_BYTES_MAX):
        answer.feed(part)


CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWERS: dict[bytes, Read | str] = {
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello": (200, "OK", b"hello", True),
    b"HTTP/1.1  200  Fine, thanks \r\nContent-Length: 0\r\n\r\n": (200, "Fine, thanks", b"", True),
    b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n": (200, "OK", b"", True),
    b"\nHTTP/1.0 404 No\nX: y\n\ngone": (404, "No", b"gone", False),
    b"HTTP/1.1 204\r\n\r\n": (204, "", b"", True),
    b"HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n": (304, "Same", b"", True),
    b"HTTP/1.1 101 Over\r\nUpgrade: x\r\n\r\n\0\1\2": (101, "Over", b"", True),
    b"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 Hint\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nall": (
        200, "OK", b"all", False,
    ),
    CHUNKS + b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: x\r\n\r\n": (200, "OK", b"hello", True),
    CHUNKS + b"2\r\nhe\r\n": (200, "OK", b"he", False),
    CHUNKS + b"2\r\nhello\r\n": "not HTTP",
    CHUNKS + b"two\r\nhe\r\n": "not HTTP",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxyz": (200, "OK", b"xyz", False),
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nxyz": "not HTTP",
    b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nxyz": "not HTTP",
    b"HTTP/1.1 200 OK\r\nno header\r\n\r\nxyz": "not HTTP",
    b"HTTP/1.1 2000 OK\r\n\r\n": "not HTTP",
    b"HTTP/1.1 two OK\r\n\r\n": "not HTTP",
    b"HTTP/2 200\r\n\r\n": "not HTTP",
    b"SSH-2.0-OpenSSH\r\n": "not HTTP",
}  # fmt: skip


@pytest.mark.parametrize("data", ANSWERS)
def test_an_answer_reads_the_same_however_it_was_cut(data: bytes) -> None:
    due = ANSWERS[data]
    assert read(data) == due
    for at in range(len(data) + 1):
        assert read(data, at) == due, at
    assert read(data, *range(1, len(data))) == due


def test_answers_that_have_no_body_are_whole_after_their_header() -> None:
    assert read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", method="HEAD") == (
        200, "OK", b"", True,
    )  # fmt: skip
    assert read(b"HTTP/1.1 200 OK\r\n\r\nanything", method="CONNECT") == (200, "OK", b"", True)
    assert read(b"HTTP/1.1 405 No\r\n\r\nwhy", method="CONNECT") == (405, "No", b"why", False)


@pytest.mark.parametrize(
    "part",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"\r\n",
        b"HTTP/1.1 102 Wait\r\nX: " + b"y" * 999 + b"\r\n\r\n",
    ],
)
def test_interim_answers_and_empty_lines_without_end_are_bounded(part: bytes) -> None:
    answer = Answer("GET")
    with pytest.raises(NotHttpError, match="no answer"):
        feed(answer, part)
    assert len(answer.pending) <= HEAD_BYTES_MAX + len(part)


@pytest.mark.parametrize("part", [b"X: y\r\n", b"x" * 100])
def test_a_header_without_end_is_bounded(part: bytes) -> None:
    answer = Answer("GET")
    answer.feed(b"HTTP/1.1 200 OK\r\nX: ")
    with pytest.raises(NotHttpError, match=str(HEAD_BYTES_MAX)):
        feed(answer, part)


def test_the_line_before_a_chunk_is_bounded() -> None:
    answer = Answer("GET")
    answer.feed(CHUNKS + b"1;")
    with pytest.raises(NotHttpError, match=str(LINE_BYTES_MAX)):
        feed(answer, b"xx")


def test_no_more_of_a_body_is_kept_than_is_looked_at() -> None:
    for head, part in ((CHUNKS, b"3\r\nabc\r\n"), (b"HTTP/1.1 200 OK\r\n\r\n", b"abc")):
        answer = Answer("GET")
        answer.feed(head + part * ANSWER_BYTES_MAX)
        assert len(answer.body) == ANSWER_BYTES_MAX
        assert not answer.pending


def of_h11(data: bytes) -> Read:
    """Returns h11's reading of the answer."""
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    http.send(h11.EndOfMessage())
    http.receive_data(data)
    status, reason, body, complete = 0, "", b"", False
    while True:
        event = http.next_event()
        if isinstance(event, h11.Response):
            status, reason = event.status_code, event.reason.decode("latin-1")
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            complete = True
        elif not isinstance(event, h11.InformationalResponse):
            return status, reason, body, complete


@st.composite
def strict(draw: st.DrawFn) -> bytes:
    """Returns an answer that is valid under the strictest reading."""
    status = draw(st.sampled_from([200, 201, 301, 404, 500, 503]))
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" * draw(st.integers(0, 3))
    head = f"HTTP/1.1 {status} {draw(st.sampled_from(['OK', '', 'Not so']))}\r\nX: y\r\n".encode()
    parts = draw(st.lists(st.binary(min_size=1, max_size=30), max_size=5))
    if draw(st.booleans()):
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in parts)
        return interim + head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    body = b"".join(parts)
    return interim + head + b"Content-Length: %d\r\n\r\n" % len(body) + body


@given(strict(), st.data())
def test_strict_answers_read_as_h11_reads_them(answer: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(answer)))
    assert read(answer, cut) == of_h11(answer)
