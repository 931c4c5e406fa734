"""Clients of HTTP/2 that stop in the middle, let answers wait, or begin and end their connections
in unusual ways."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psutil
import pytest

from ..harness import Balancer
from ..harness.deadline import until
from ..harness.http import Peer, answer, before
from ..harness.http2 import (
    DATA,
    END_STREAM,
    GET,
    GOAWAY,
    HEADERS,
    PING,
    SETTINGS,
    client,
    frame,
    frames,
    get,
    hostile,
    post,
    streams,
)
from ..harness.origin import Gate, Origin, path_and_name
from ..harness.secure import Authority, secure

PROTOCOL_ERROR, UNKNOWN = 1, 0x20

# ---- what is slow --------------------------------------------------------------------------------


def test_a_malformed_request_does_not_count_as_a_list_under_way() -> None:
    """Its connection is not ended for it once the time for a head is over."""
    gate = Gate(path_and_name("a"))
    with (
        Origin(gate) as origin,
        before([origin.row], http={"head_timeout": "300ms"}) as lb,
        client(lb) as one,
    ):
        slow = one.begin("/slow")
        bad = one.begin_raw([(":method", "GET"), (":scheme", "http"), (":path", "/"), ("A", "b")])
        assert one.answer(bad).reset == PROTOCOL_ERROR
        with hostile(lb) as sock:
            sock.sendall(frame(HEADERS, END_STREAM, 1, GET))  # this list is under way
            assert frames(sock)[-1][0] == GOAWAY
        gate.open()
        assert one.answer(slow).status == 200
        assert not one.goaway


@pytest.mark.parametrize(
    "said",
    [
        post(1)[:20],
        post(1) + frame(DATA, 0, 1, bytes(1000))[:500],
        frame(PING, 0, 0, bytes(8))[:12],
        frame(UNKNOWN, 0, 0, bytes(16_000))[:9],
        streams(100, post),
        streams(100, lambda one: post(one) + frame(DATA, 0, one, b"x")),
    ],
    ids=["list", "data", "ping", "unknown", "bodies to come", "bodies begun"],
)
def test_a_client_that_stops_in_the_middle_is_sent_away(said: bytes) -> None:
    with (
        Origin(lambda _: answer(b"x")) as origin,
        before(
            [origin.row],
            idle_timeout="300ms",
            http={"head_timeout": "300ms", "rest_timeout": "300ms"},
        ) as lb,
        hostile(lb) as sock,
    ):
        sock.sendall(said)
        assert frames(sock)[-1][0] == GOAWAY
        until(lambda: lb.total("active") == 0, "no place is held")
        until(lambda: not lb.ask("sessions"), "nothing of it is left")
        with client(lb) as one:
            assert one.ask("/after").status == 200


def test_large_answers_behind_closed_windows_take_little_memory() -> None:
    """All streams that three clients may have wait with a MiB each."""
    said = answer(bytes(1 << 20))
    with (
        Origin(lambda _: said) as origin,
        before([origin.row], http={"max_requests": 0}) as lb,
        contextlib.ExitStack() as stack,
    ):
        with client(lb) as one:
            assert one.ask("/before").status == 200
        worker = psutil.Process(lb.pids()[0])
        rested = worker.memory_info().rss
        for _ in range(3):
            sock = stack.enter_context(hostile(lb))
            sock.sendall(frame(SETTINGS, 0, 0, b"\0\4\0\0\0\0") + streams(100, get))
        until(lambda: len(origin.requests) == 301, "all requests are with the backend")
        with client(lb) as one:
            assert len(one.ask("/after").body) == 1 << 20
        assert worker.memory_info().rss - rested < 30 << 20


# ---- how a connection begins and ends ------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    with Authority() as one:
        yield one


@pytest.fixture(scope="module")
def secured(authority: Authority) -> Iterator[Balancer]:
    tls = {"certificates": [authority.issue("localhost")]}
    with Origin() as origin, before([origin.row], listener={"tls": tls}) as lb:
        yield lb


def test_a_client_of_tls_that_names_no_protocol_speaks_http_1(
    secured: Balancer, authority: Authority
) -> None:
    sock = secure(secured.connect(), authority.client())
    assert sock.selected_alpn_protocol() is None
    with Peer(sock) as peer:
        assert peer.ask("/a", fields=[]).body == b"a /a"


def test_a_client_that_agrees_on_http_2_and_speaks_http_1_is_sent_away(
    secured: Balancer, authority: Authority
) -> None:
    with secure(secured.connect(), authority.client(alpn=["h2"])) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert frames(sock, lambda one: one[0] == GOAWAY)[-1][0] == GOAWAY


def test_a_client_that_says_goodbye_gets_its_answers() -> None:
    with (
        Origin(lambda _: answer(b"x")) as origin,
        before([origin.row]) as lb,
        hostile(lb) as sock,
    ):
        sock.sendall(post(1) + frame(GOAWAY, 0, 0, bytes(8)) + frame(DATA, END_STREAM, 1, b"body"))
        found = frames(sock)
        assert (DATA, END_STREAM, 1, b"x") in found
        assert [one.body for one in origin.requests] == [b"body"]
