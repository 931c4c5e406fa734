"""Bodies in chunks against a naive twin and against h11, split at every byte."""

from __future__ import annotations

import re

import h11
from doors.http1 import chunk_head, decode_chunks
from hypothesis import example, given
from hypothesis import strategies as st

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
TEXT = rb"[\t\x20-\x7e\x80-\xff]"
SIZE = re.compile(rb"0*([0-9A-Fa-f]{1,14})(?:[ \t]*;" + TEXT + rb"*|[ \t]*)\r\n", re.DOTALL)
TRAILER = re.compile(TOKEN + rb"+:" + TEXT + rb"*\r\n", re.DOTALL)

HEAD = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
WORDS = b"0|1|3|0a|abc|;|;a=b| |\n|\r|:|A: b|\x00|\xff|+|0x|,|G|0\r\n\r\n|3\r\nabc\r\n".split(b"|")
WORDS += [b"\r\n"] * 4
bodies = st.lists(st.sampled_from(WORDS), max_size=14).map(b"".join)
data = st.lists(st.binary(min_size=1, max_size=40), max_size=5)


def naive(body: bytes) -> tuple[str, bytes, int]:
    """Decodes a body by regular expressions; what does not match is bad if no more bytes help."""
    at, found = 0, b""
    while line := SIZE.match(body, at):
        size = int(line.group(1), 16)
        if size == 0:
            at = line.end()
            while trailer := TRAILER.match(body, at):
                at = trailer.end()
            done = body[at : at + 2] == b"\r\n"
            return ("done" if done else "not done", found, at + 2)
        run = body[line.end() : line.end() + size]
        found += run
        at = line.end() + size + 2
        if body[line.end() + size : at] != b"\r\n":
            break
    return ("not done", found, 0)


def by_h11(body: bytes) -> bytes | None:
    """The data of a body as h11 decodes it; None if it does not end rightly."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(
        b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    )
    found = b""
    try:
        connection.next_event()
        while isinstance(event := connection.next_event(), h11.Data):
            found += event.data
    except h11.RemoteProtocolError:
        return None
    return found if isinstance(event, h11.EndOfMessage) else None


def single(body: bytes) -> list[bytes]:
    return [body[at : at + 1] for at in range(len(body))]


@given(bodies)
@example(b"\r\n0\r\n\r\n")
@example(b"3\r\nabc\r\n\r\n0\r\n\r\n")
@example(b"3 ;x\r\nabc\r\n0 \t\r\nA:\r\n\r\nrest")
@example(b"fffffffffffffff\r\n")
@example(b"0a\r\n00x ;000\r\n\r\n0\r\n\r\n")
def test_a_body_is_decoded_as_the_naive_twin_decodes_it(body: bytes) -> None:
    result, found, used = decode_chunks([body])
    expected, expected_found, expected_used = naive(body)
    assert (result == "done") == (expected == "done")
    if result == "done":
        assert (found, used) == (expected_found, expected_used)
        # RFC 9112, 7.1.1, allows white space before a semicolon; h11 does not take it. Data that
        # looks so would be changed.
        if not re.search(rb"[ \t];", found):
            assert by_h11(re.sub(rb"[ \t]+;", b";", body[:used])) == found
    if result == "bad":
        assert expected == "not done"
        assert all(decode_chunks([body[:used], more])[0] == "bad" for more in WORDS)


@given(bodies)
@example(b"3 ;x\r\nabc\r\n0 \t\r\nA:\r\n\r\nrest")
def test_a_body_is_the_same_wherever_it_is_split(body: bytes) -> None:
    whole = decode_chunks([body])
    assert decode_chunks(single(body)) == whole
    for at in range(len(body)):
        assert decode_chunks([body[:at], body[at:]]) == whole


@given(data)
def test_data_comes_back_from_its_encoding(runs: list[bytes]) -> None:
    body = b"".join(chunk_head(len(run)) + run + b"\r\n" for run in runs) + b"0\r\n\r\n"
    assert decode_chunks(single(body)) == ("done", b"".join(runs), len(body))
    assert by_h11(body) == b"".join(runs)
