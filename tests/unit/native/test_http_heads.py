"""Heads of HTTP/1 against two other parsers: h11, and llhttp by httptools.

What l4lb takes, the others take, and to the same meaning, except for the differences listed here.
What l4lb refuses and another takes is refused by a fault that is listed with the RFC's reason.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

import h11
import httptools
from doors.http1 import Head, HeadError, head_end, read_answer, read_request
from http_heads import answers, requests
from hypothesis import HealthCheck, given, settings

from l4lb.native.http import RequestError, read_host, read_target

STRICTER = {
    "bad_length": "RFC 9112, 6.3: a list of equal lengths may be refused, as other values must",
    "bad_name": "RFC 9112, 5.1: a name is a token",
    "bad_request_line": "RFC 9112, 3: lenient parsing can result in security vulnerabilities",
    "bad_status": "RFC 9110, 15: values outside of 100 to 599 are invalid",
    "bad_status_line": "RFC 9112, 4: one space, three digits",
    "bad_target": "RFC 9112, 3.2: no fragment, no byte outside of ASCII",
    "bad_version": "RFC 9110, 15.6.6: 505 for other versions than one's own",
    "bare_cr": "RFC 9112, 2.2: a bare CR is invalid or replaced",
    "bare_lf": "RFC 9112, 2.2: a bare LF may be recognised as a line's end, and need not be",
    "bad_expect": "RFC 9110, 10.1.1: 417 for another expectation than 100-continue",
    "bad_connection": "RFC 9110, 7.6.1: an option must not name a field for all recipients",
    "control_byte": "RFC 9110, 5.5: such values are invalid and may be dangerous",
    "folded_line": "RFC 9112, 5.2: a server must reject or replace obsolete folding",
    "no_host": "RFC 9112, 3.2: 400 for a request of HTTP/1.1 without Host",
    "two_hosts": "RFC 9112, 3.2: 400 for more than one Host",
    "two_lengths": "RFC 9112, 6.3: more than one length may be refused",
    "length_and_coding": "RFC 9112, 6.1: such a message may be refused, as it ought to be an error",
    "coding_in_1_0": "RFC 9112, 6.1: a server ... must treat the framing as faulty",
    "unknown_coding": "RFC 9112, 6.1: 501 for a coding that is not understood",
    "two_codings": "RFC 9112, 6.1: chunked must not be applied more than once",
    "unexpected_body": "RFC 9110, 9.3.6 and 9.3.8: CONNECT and TRACE have no content",
    "switch_to_nothing": "RFC 9110, 15.2.2: 101 must have Upgrade",
}


TARGETS = {
    "target_form": "RFC 9112, 3.2: each method has its forms",
    "target_byte": "RFC 3986, 2: such a byte is encoded",
    "bad_host": "RFC 9112, 3.2: 400 for an invalid Host",
    "bad_port": "RFC 3986, 3.2.3: a port is a number",
}
LAXER = {
    "empty line before": "RFC 9112, 2.2: at least one empty line before a request is ignored",
    "extension method": "RFC 9110, 16.1.1: methods are extensible",
}
TAIL = b"5\r\nhello\r\n0\r\n\r\n"


@dataclass
class Message:
    """What one parser says of a head, and of the body TAIL behind it."""

    method: bytes = b""
    target: bytes = b""
    status: int = 0
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    whole: bool = False


def as_compared(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """A field as it is compared. h11 gives a coding in lower case: its case means nothing."""
    name = name.lower()
    return name, value.lower() if name == b"transfer-encoding" else value


def ours(head: Head) -> Message:
    fields = [as_compared(name, value) for name, value in head.fields]
    length = head.length or 0
    body, whole = {
        "none": (b"", True),
        "length": (TAIL[:length], length <= len(TAIL)),
        "chunked": (b"hello", True),
        "until_close": (TAIL, False),
    }[head.framing]
    return Message(head.method, head.target, head.status, fields, body, whole)


def by_h11(data: bytes, role: type[h11.CLIENT] | type[h11.SERVER]) -> Message | None:
    connection = h11.Connection(role)
    message = Message()
    try:
        if role is h11.CLIENT:
            connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
        connection.receive_data(data + TAIL)
        event = connection.next_event()
        if isinstance(event, h11.Request):
            message = Message(event.method, event.target, 0, list(event.headers))
        elif isinstance(event, h11.InformationalResponse):
            return Message(status=event.status_code, fields=list(event.headers), whole=True)
        elif isinstance(event, h11.Response):
            message = Message(status=event.status_code, fields=list(event.headers))
        else:
            return None
        while isinstance(event := connection.next_event(), h11.Data):
            message.body += event.data
    except h11.RemoteProtocolError:
        return None
    message.whole = isinstance(event, h11.EndOfMessage)
    return message


class Collector:
    """The callbacks of httptools, until the first message ends."""

    def __init__(self) -> None:
        self.message = Message()
        self.headed = False

    def on_url(self, url: bytes) -> None:
        if not self.message.whole:
            self.message.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.message.whole:
            self.message.fields.append(as_compared(name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.headed = True

    def on_body(self, body: bytes) -> None:
        if not self.message.whole:
            self.message.body += body

    def on_message_complete(self) -> None:
        self.message.whole = True


def by_llhttp(data: bytes, answer: bool) -> Message | None:
    collector = Collector()
    make = httptools.HttpResponseParser if answer else httptools.HttpRequestParser
    parser = make(collector)
    try:
        for part in (data, TAIL):
            with contextlib.suppress(httptools.HttpParserUpgrade):  # what follows is no HTTP
                parser.feed_data(part)
            if not collector.headed:
                return None
    except httptools.HttpParserError:
        if not collector.message.whole:
            return None
    if answer:
        collector.message.status = parser.get_status_code()
    else:
        collector.message.method = parser.get_method()
    return collector.message


def read(data: bytes, answer: bool) -> Head | str:
    """What l4lb says: a head, a fault, or "more"."""
    found, _ = head_end(data)
    if not found:
        return "more"
    if isinstance(found, str):
        return found
    try:
        if answer:
            return read_answer(data[:found])
        head = read_request(data[:found])
        read_target(head.target, head.method.decode())
        if head.host or head.version == (1, 1):
            read_host(head.host)
    except (HeadError, RequestError) as error:
        return str(error.args[0])
    return head


def laxity(data: bytes, head: Head) -> set[str]:
    """What another parser may dislike of a head that l4lb takes."""
    found = {"empty line before"} if data.startswith(b"\r\n") else set()
    if head.method and head.method not in KNOWN:
        found.add("extension method")
    return found


KNOWN = {b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"TRACE", b"CONNECT", b"DELETE", b"PATCH"}


def compare(data: bytes, theirs: Message | None, answer: bool) -> None:
    """Holds one head's readings against each other. What follows the head is no part of it."""
    said = read(data, answer)
    if isinstance(said, str):
        assert theirs is None or said in STRICTER or said in TARGETS or said == "more", said
    elif theirs is None:
        assert laxity(data, said) & LAXER.keys(), (data, said.fields)
    else:
        assert ours(said) == theirs


def cut(data: bytes) -> bytes:
    """Leaves of a head with something behind it only the head."""
    found, _ = head_end(data)
    return data[:found] if isinstance(found, int) and found else data


many = settings(max_examples=300, suppress_health_check=list(HealthCheck), deadline=None)


@many
@given(requests.map(cut))
def test_requests_are_read_as_h11_reads_them(data: bytes) -> None:
    compare(data, by_h11(data, h11.SERVER), answer=False)


@many
@given(answers.map(cut))
def test_answers_are_read_as_h11_reads_them(data: bytes) -> None:
    compare(data, by_h11(data, h11.CLIENT), answer=True)


@many
@given(requests.map(cut))
def test_requests_are_read_as_llhttp_reads_them(data: bytes) -> None:
    compare(data, by_llhttp(data, answer=False), answer=False)


@many
@given(answers.map(cut))
def test_answers_are_read_as_llhttp_reads_them(data: bytes) -> None:
    compare(data, by_llhttp(data, answer=True), answer=True)
