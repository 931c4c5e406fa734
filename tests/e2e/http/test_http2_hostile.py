"""Clients of HTTP/2 that do what is allowed once, too often: each has its budget, then its
connection ends, and nobody else notices."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest

from ..harness.deadline import until
from ..harness.http import answer, before
from ..harness.http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GET,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    client,
    frame,
    frames,
    get,
    hostile,
    post,
)
from ..harness.origin import Origin
from .conftest import Pair

PROTOCOL_ERROR, CALM, NO_ERROR = 1, 11, 0


def say(sock: socket.socket, said: bytes) -> None:
    """Sends what the other side may stop to read."""
    with contextlib.suppress(ConnectionError, TimeoutError):
        sock.sendall(said)


def say_each(sock: socket.socket, count: int, script: Callable[[int], bytes]) -> None:
    """Sends the script of one stream after the other."""
    for stream in range(1, 2 * count, 2):
        say(sock, script(stream))


def codes(sock: socket.socket) -> list[int]:
    """Returns the error codes of the GOAWAY frames, at the connection's end."""
    return [
        int.from_bytes(payload[4:8], "big")
        for kind, _, _, payload in frames(sock)
        if kind == GOAWAY
    ]


@pytest.fixture
def others(pair: Pair) -> Iterator[None]:
    """Another client, which is served before and after."""
    with client(pair.lb) as one:
        assert one.ask("/before").status == 200
        yield
        assert one.ask("/after").status == 200


@pytest.mark.usefixtures("others")
def test_a_client_that_resets_its_streams_rapidly_is_sent_away(pair: Pair) -> None:
    with hostile(pair.lb) as sock:
        reset = (8).to_bytes(4, "big")
        say_each(sock, 1200, lambda one: get(one) + frame(RST_STREAM, 0, one, reset))
        assert codes(sock)[-1] == CALM


@pytest.mark.usefixtures("others")
def test_a_client_that_provokes_resets_is_sent_away(pair: Pair) -> None:
    """MadeYouReset: a window of a stream that overflows makes us reset it."""
    with hostile(pair.lb) as sock:
        window = b"\x7f\xff\xff\xff"
        say_each(sock, 300, lambda one: post(one) + frame(WINDOW_UPDATE, 0, one, window))
        assert codes(sock) == [CALM]


@pytest.mark.usefixtures("others")
def test_malformed_requests_one_after_another_are_provoked_resets(pair: Pair) -> None:
    with hostile(pair.lb) as sock:
        say_each(sock, 300, lambda one: get(one, b"\x00\x01A\x01b"))
        assert codes(sock) == [CALM]


@pytest.mark.usefixtures("others")
def test_a_header_list_in_very_many_frames_is_refused(pair: Pair) -> None:
    with hostile(pair.lb) as sock:
        say(sock, frame(HEADERS, END_STREAM, 1, GET))
        for _ in range(40):
            say(sock, frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b"))
        assert codes(sock) == [CALM]


@pytest.mark.usefixtures("others")
def test_a_header_list_that_unpacks_to_very_much_is_refused(pair: Pair) -> None:
    entry = b"\x40\x01a" + b"\x7f\xa1\x1e" + b"y" * 4000  # goes into the table
    with hostile(pair.lb) as sock:
        say(sock, get(1, entry + b"\xbe" * 8000))
        assert codes(sock) == [CALM]


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize(
    "flood",
    [
        frame(SETTINGS) * 2000,
        frame(PING, 0, 0, b"12345678") * 2000,
        frame(PRIORITY, 0, 5, b"\0\0\0\0\x10") * 4000,
        post(1) + frame(DATA, 0, 1) * 2000,
    ],
    ids=["settings", "ping", "priority", "empty_data"],
)
def test_a_flood_of_frames_ends_its_connection(pair: Pair, flood: bytes) -> None:
    with hostile(pair.lb) as sock:
        say(sock, flood)
        assert codes(sock) == [CALM]


@pytest.mark.usefixtures("others")
@pytest.mark.parametrize(
    "said",
    [
        frame(DATA, 0, 0, b"x"),
        get(2),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\xff\xff\xff\xff"),
        frame(SETTINGS, 0, 0, b"\0\4\xff\xff\xff\xff"),
        frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\0"),
        frame(CONTINUATION, END_HEADERS, 1, GET),
        b"\xff\xff\xff\0\0\0\0\0\1",
    ],
)
def test_what_is_no_http_2_ends_its_connection(pair: Pair, said: bytes) -> None:
    with hostile(pair.lb) as sock:
        say(sock, said)
        assert [code != NO_ERROR for code in codes(sock)] == [True]


@pytest.mark.usefixtures("others")
def test_a_preface_that_is_cut_is_no_http_2(pair: Pair) -> None:
    with pair.lb.connect(30) as sock:
        say(sock, PREFACE.replace(b"SM", b"XX") + frame(SETTINGS))
        frames(sock)


def test_one_stream_more_than_the_limit_is_refused_alone() -> None:
    with (
        Origin(lambda _: answer(b"x")) as origin,
        before([origin.row], http={"http2": {"streams": 4}}) as lb,
        hostile(lb) as sock,
    ):
        say_each(sock, 6, post)
        said = frames(sock, lambda one: one[:1] + one[2:3] == (RST_STREAM, 11))
        assert [one[2] for one in said if one[0] == RST_STREAM] == [9, 11]


def test_a_client_that_says_nothing_is_sent_away() -> None:
    with (
        Origin() as origin,
        before([origin.row], http={"head_timeout": "300ms"}) as lb,
        hostile(lb) as sock,
    ):
        assert codes(sock) == [NO_ERROR]


def test_a_client_at_rest_is_sent_away_after_the_time_for_rest() -> None:
    with (
        Origin() as origin,
        before([origin.row], http={"rest_timeout": "300ms"}) as lb,
        client(lb) as one,
    ):
        assert one.ask().status == 200
        assert [code for code, _ in one.until_gone()] == [NO_ERROR]


def test_a_header_list_that_does_not_end_ends_its_connection() -> None:
    with (
        Origin() as origin,
        before([origin.row], http={"head_timeout": "300ms"}) as lb,
        hostile(lb) as sock,
    ):
        say(sock, frame(HEADERS, END_STREAM, 1, GET))
        assert codes(sock) == [CALM]
        assert not origin.requests


def test_a_window_that_stands_still_is_timed() -> None:
    with (
        Origin(lambda _: answer(b"x" * (4 << 20))) as origin,
        before([origin.row], idle_timeout="500ms") as lb,
        client(lb, window=1000, reads=False) as one,
    ):
        got = one.answer(one.begin())
        assert len(got.body) == 1000
        assert got.reset is not None
        assert bytes(one.ask(method="HEAD").body) == b""


def test_a_client_that_reads_nothing_is_sent_away() -> None:
    with (
        Origin(lambda _: answer(b"x" * (4 << 20))) as origin,
        before([origin.row], http={"rest_timeout": "500ms"}, idle_timeout="500ms") as lb,
        client(lb, window=1 << 30) as one,
    ):
        for _ in range(8):
            one.begin()
        until(lambda: not lb.admin("sessions"), "the connection and its streams have ended")
