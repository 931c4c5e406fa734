"""Scripts of frames that no client of HTTP/2 sends in earnest: each ends its connection or its
stream, or is ignored; its reason is in the metrics and in the log; and others are served."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ..harness import PORTS, Balancer
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
    POST,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Http2,
    client,
    frame,
    frames,
    get,
    hostile,
    post,
    streams,
)
from ..harness.metrics import Metrics
from ..harness.origin import Origin

ACK, PADDED, WITH_PRIORITY = 1, 8, 0x20
PUSH_PROMISE, UNKNOWN = 5, 0x20
PROTOCOL_ERROR, FLOW_CONTROL_ERROR = 1, 3
FIELD = b"\x40\x01a\x01b"
WHOLE = END_HEADERS | END_STREAM


def number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def content_length(value: int) -> bytes:
    return b"\x0f\x0d\x01" + b"%d" % value


@dataclass
class Watched:
    """A balancer with all that tells of its clients, and a client that is served all the time."""

    lb: Balancer
    origin: Origin
    other: Http2
    metrics: Metrics
    log: Path

    def count(self, name: str, **labels: str) -> float:
        """Returns a counter's value. One that has counted nothing yet may not be told."""
        return self.metrics.value(name, listener="web", **labels) or 0.0

    def lines(self, sock: socket.socket, fault: str) -> list[dict[str, Any]]:
        """Returns the log's lines of a client, once one of them has this fault."""
        address, port = sock.getsockname()

        def found() -> list[dict[str, Any]]:
            text = self.log.read_text() if self.log.exists() else ""
            whole = [one for one in text.splitlines(keepends=True) if one.endswith("\n")]
            lines = [one for one in map(json.loads, whole) if one["client"] == f"{address}:{port}"]
            return lines if any(one.get("fault") == fault for one in lines) else []

        return until(found, f"the log tells of {fault}")


@pytest.fixture(scope="module")
def _watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    log = tmp_path_factory.mktemp("log") / "access"
    with (
        PORTS.taken() as port,
        Origin(lambda _: answer(b"x")) as origin,
        before(
            [origin.row],
            process={
                "http": f"127.0.0.1:{port}",
                "log": {"access": str(log), "access_format": "json", "access_errors_only": True},
            },
            http={"max_requests": 0},
        ) as lb,
        client(lb) as other,
    ):
        yield Watched(lb, origin, other, Metrics(lb), log)


@pytest.fixture
def watched(_watched: Watched) -> Iterator[Watched]:
    assert _watched.other.ask("/before").status == 200
    _watched.origin.requests.clear()
    yield _watched
    assert _watched.other.ask("/after").status == 200


# ---- what ends a connection ----------------------------------------------------------------------

ENDS: dict[str, tuple[str, bytes]] = {
    "data on a stream that its client has ended": (
        "protocol",
        get(1) + frame(DATA, 0, 1, b"x"),
    ),
    "a second list on a stream that its client has ended": ("protocol", get(1) + get(1)),
    "a window of a stream opened by nothing": (
        "protocol",
        post(1) + frame(WINDOW_UPDATE, 0, 1, number(0)),
    ),
    "a window of no stream": ("protocol", frame(WINDOW_UPDATE, 0, 1, number(1))),
    "a connection's window that overflows": (
        "protocol",
        frame(WINDOW_UPDATE, 0, 0, number(0x7FFFFFFF)),
    ),
    "a request that depends on itself": (
        "protocol",
        frame(HEADERS, WHOLE | WITH_PRIORITY, 1, number(1) + b"\x10" + GET),
    ),
    "a promise": ("protocol", frame(PUSH_PROMISE, END_HEADERS, 1, number(2) + GET)),
    "a reset of no stream": ("protocol", frame(RST_STREAM, 0, 1, number(8))),
    "data of no stream": ("protocol", frame(DATA, 0, 1, b"x")),
    "a frame above the limit": ("protocol", post(1) + frame(DATA, 0, 1, bytes(16_385))),
    "settings of five bytes": ("protocol", frame(SETTINGS, 0, 0, bytes(5))),
    "a ping of seven bytes": ("protocol", frame(PING, 0, 0, bytes(7))),
    "a reset of three bytes": ("protocol", post(1) + frame(RST_STREAM, 0, 1, bytes(3))),
    "a window of three bytes": ("protocol", frame(WINDOW_UPDATE, 0, 0, bytes(3))),
    "a priority of four bytes": ("protocol", frame(PRIORITY, 0, 5, bytes(4))),
    "an acknowledgement with settings": ("protocol", frame(SETTINGS, ACK, 0, bytes(6))),
    "an acknowledgement of nothing": ("protocol", frame(SETTINGS, ACK) * 3),
    "settings of a stream": ("protocol", frame(SETTINGS, 0, 1)),
    "a ping of a stream": ("protocol", frame(PING, 0, 1, bytes(8))),
    "a goodbye of a stream": ("protocol", frame(GOAWAY, 0, 1, bytes(8))),
    "a setting out of its range": ("protocol", frame(SETTINGS, 0, 0, b"\0\2\0\0\0\2")),
    "frames too small to be": ("protocol", frame(SETTINGS, 0, 0, b"\0\5\0\0\0\x64")),
    "very many settings": ("protocol", frame(SETTINGS, 0, 0, b"\0\3\0\0\0\1" * 2000)),
    "padding longer than its frame": ("protocol", post(1) + frame(DATA, PADDED, 1, b"\xffabc")),
    "padding longer than its list": ("protocol", frame(HEADERS, WHOLE | PADDED, 1, b"\xff" + GET)),
    "a table above the limit": ("protocol", frame(HEADERS, WHOLE, 1, b"\x3f\xe1\xff\x03" + GET)),
    "an index of zero": ("protocol", get(1, b"\x80")),
    "an index far outside of the table": ("protocol", get(1, b"\xff\xff\xff\xff\x0f")),
    "a coded text with wrong padding": ("protocol", get(1, b"\x40\x01a\x81\xff")),
    "a list that is cut": ("protocol", get(1, b"\x40\x05ab")),
    "a list that goes on for another stream": (
        "protocol",
        frame(HEADERS, END_STREAM, 1, GET[:2]) + frame(CONTINUATION, END_HEADERS, 3, GET[2:]),
    ),
    "data within a list": ("protocol", frame(HEADERS, 0, 1, GET[:2]) + frame(DATA, 0, 1, b"x")),
    "a ping within a list": (
        "protocol",
        frame(HEADERS, 0, 1, GET[:2]) + frame(PING, 0, 0, bytes(8)),
    ),
    "an unknown frame within a list": ("protocol", frame(HEADERS, 0, 1, GET) + frame(UNKNOWN)),
    "answers to no ping": ("ping", frame(PING, ACK, 0, bytes(8)) * 2000),
    "data that is all padding": (
        "empty_data",
        post(1) + frame(DATA, PADDED, 1, b"\5" + bytes(5)) * 2000,
    ),
    "empty frames of a list": (
        "continuation",
        frame(HEADERS, 0, 1, GET) + frame(CONTINUATION, 0, 1) * 40,
    ),
    "resets of one stream": ("resets", post(1) + frame(RST_STREAM, 0, 1, number(8)) * 2000),
    "tables that shrink and grow": (
        "settings",
        streams(
            100,
            lambda stream: (
                frame(SETTINGS, 0, 0, b"\0\1\0\0\0\0")
                + frame(SETTINGS, 0, 0, b"\0\1\xff\xff\xff\xff")
                + get(stream)
            ),
        ),
    ),
    "windows that overflow": (
        "provoked_resets",
        streams(300, lambda one: post(one) + frame(WINDOW_UPDATE, 0, one, number(0x7FFFFFFF))),
    ),
    "bodies shorter than they are told": (
        "provoked_resets",
        streams(
            300, lambda one: post(one, content_length(3)) + frame(DATA, END_STREAM, one, b"ab")
        ),
    ),
    "bodies longer than they are told": (
        "provoked_resets",
        streams(300, lambda one: post(one, content_length(3)) + frame(DATA, 0, one, b"abcd")),
    ),
    "trailers that do not end": (
        "provoked_resets",
        streams(300, lambda one: post(one) + frame(HEADERS, END_HEADERS, one, FIELD)),
    ),
    "many more streams than the limit": ("provoked_resets", streams(400, post)),
}


@pytest.mark.parametrize("script", ENDS)
def test_a_connection_ends_for_a_script_and_its_reason_is_told(
    watched: Watched, script: str
) -> None:
    kind, said = ENDS[script]
    ended = watched.count("l4lb_http2_abuse_total", kind=kind)
    with hostile(watched.lb) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(said)
        goodbyes = [one for one in frames(sock) if one[0] == GOAWAY]
        lines = watched.lines(sock, kind)
    assert len(goodbyes) <= 1
    assert all(one[3][4:8] != bytes(4) for one in goodbyes)
    assert watched.count("l4lb_http2_abuse_total", kind=kind) == ended + 1
    assert {(one["end"], one["protocol"]) for one in lines} == {("rejected:bad_request", "HTTP/2")}
    assert not any(one.method == "POST" and one.body for one in watched.origin.requests)


# ---- what ends a stream --------------------------------------------------------------------------

RESETS: dict[str, tuple[int, str, bytes]] = {
    "a field with an upper-case name": (PROTOCOL_ERROR, "malformed", get(1, b"\0\1A\1b")),
    "a field without a name": (PROTOCOL_ERROR, "malformed", get(1, b"\0\0\1b")),
    "a list without a path": (
        PROTOCOL_ERROR,
        "malformed",
        frame(HEADERS, WHOLE, 1, b"\x82\x86\x41\x01h"),
    ),
    "a length without a body": (
        PROTOCOL_ERROR,
        "malformed",
        frame(HEADERS, WHOLE, 1, POST + content_length(3)),
    ),
    "a body shorter than it is told": (
        PROTOCOL_ERROR,
        "malformed",
        post(1, content_length(3)) + frame(DATA, END_STREAM, 1, b"ab"),
    ),
    "a body longer than it is told": (
        PROTOCOL_ERROR,
        "malformed",
        post(1, content_length(3)) + frame(DATA, END_STREAM, 1, b"abcd"),
    ),
    "trailers that do not end the stream": (
        PROTOCOL_ERROR,
        "malformed",
        post(1) + frame(HEADERS, END_HEADERS, 1, FIELD),
    ),
    "trailers with pseudo fields": (
        PROTOCOL_ERROR,
        "malformed",
        post(1) + frame(HEADERS, WHOLE, 1, GET),
    ),
    "a window that overflows": (
        FLOW_CONTROL_ERROR,
        "flow_control",
        post(1) + frame(WINDOW_UPDATE, 0, 1, number(0x7FFFFFFF)),
    ),
    "a window that settings let overflow": (
        FLOW_CONTROL_ERROR,
        "flow_control",
        post(1)
        + frame(WINDOW_UPDATE, 0, 1, number(0x7FFF0000))
        + frame(SETTINGS, 0, 0, b"\0\4\x7f\xff\xff\xff"),
    ),
    "more bytes than the window": (
        FLOW_CONTROL_ERROR,
        "flow_control",
        post(1) + frame(DATA, 0, 1, bytes(16_384)) * 40,
    ),
}


@pytest.mark.parametrize("script", RESETS)
def test_a_stream_ends_for_a_script_and_its_reason_is_told(watched: Watched, script: str) -> None:
    code, fault, said = RESETS[script]
    refused = watched.count("l4lb_requests_rejected_total", reason="bad_request")
    with hostile(watched.lb) as sock:
        sock.sendall(said)
        found = frames(sock, lambda one: one[0] in (RST_STREAM, GOAWAY))
        assert found[-1] == (RST_STREAM, 0, 1, number(code))
        assert answers_next(sock)
        (line,) = watched.lines(sock, fault)
    assert line["end"] == "rejected:bad_request"
    assert watched.count("l4lb_requests_rejected_total", reason="bad_request") == refused + 1
    assert [one.method for one in watched.origin.requests] == ["GET"]


def answers_next(sock: socket.socket) -> bool:
    """Returns whether a request is answered on the same connection."""
    sock.sendall(get(2001))
    answered = (DATA, END_STREAM, 2001)
    return frames(sock, lambda one: one[:3] == answered)[-1][:3] == answered


# ---- what is ignored -----------------------------------------------------------------------------

IGNORED: dict[str, bytes] = {
    "frames of an unknown kind": frame(UNKNOWN, 0xFF, 0, bytes(8)) * 20_000,
    "windows opened very often": frame(WINDOW_UPDATE, 0, 0, number(1)) * 20_000,
    "a stream that depends on itself": frame(PRIORITY, 0, 5, number(5) + b"\x10"),
    "a request with a lower number": get(5) + get(3),
    "data of a stream that its client has reset": post(1)
    + frame(RST_STREAM, 0, 1, number(8))
    + frame(DATA, 0, 1, bytes(10_000)) * 200,
    "lists of a stream that its client has reset": post(1)
    + frame(RST_STREAM, 0, 1, number(8))
    + get(1) * 200,
}


@pytest.mark.parametrize("script", IGNORED)
def test_a_client_is_served_after_what_is_ignored(watched: Watched, script: str) -> None:
    with hostile(watched.lb) as sock:
        sock.sendall(IGNORED[script])
        assert answers_next(sock)
