"""HTTP over TLS: clients whose TLS ends here, and backends that are reached over TLS."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..harness import Balancer, Manner, Stream, send, until
from ..harness.http import Peer, Request, answer, before, chunked, request
from ..harness.http2 import Http2
from ..harness.origin import Origin, Reply, path_and_name
from ..harness.secure import Authority, secure

MIB = 1 << 20


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    with Authority() as one:
        yield one


@pytest.fixture(scope="module")
def both(authority: Authority) -> Iterator[tuple[Balancer, Origin]]:
    """A balancer with TLS on both sides."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    row = authority.issue("backend.test")
    context.load_cert_chain(row["cert"], row["key"])
    listener = {"tls": {"certificates": [authority.issue("localhost")]}}
    tls = {"ca": authority.path, "server_name": "backend.test"}
    http = {"max_body": "0B", "hsts": "180d", "https_redirect": True}
    with (
        Origin(secure=context) as origin,
        before([origin.row], listener=listener, tls=tls, http=http) as lb,
    ):
        yield lb, origin


def encrypted(lb: Balancer, authority: Authority, **settings: object) -> Peer:
    return Peer(secure(lb.connect(), authority.client(**settings)))


def test_tls_on_both_sides_reuses_the_backends_connection(
    both: tuple[Balancer, Origin], authority: Authority
) -> None:
    lb, origin = both
    origin.requests.clear()
    for _ in range(3):
        with encrypted(lb, authority) as peer:
            for n in range(5):
                assert peer.ask(f"/{n}").body == f"a /{n}".encode()
    assert {one.connection for one in origin.requests} == {origin.requests[0].connection}
    assert {one.get("x-forwarded-proto") for one in origin.requests} == {"https"}


def test_clients_of_tls_are_told_to_use_it_always(
    both: tuple[Balancer, Origin], authority: Authority
) -> None:
    lb, _ = both
    with encrypted(lb, authority) as peer:
        assert peer.ask().get("strict-transport-security") == "max-age=15552000"
        peer.say(request("/../bad"))
        got = peer.answer()
        assert (got.status, got.get("strict-transport-security")) == (400, "max-age=15552000")


@pytest.mark.parametrize("protocol", ["HTTP/1.1", "HTTP/2"])
def test_lines_of_requests_have_the_name_and_the_version_of_tls_and_the_rule(
    authority: Authority, tmp_path: Path, protocol: str
) -> None:
    log = tmp_path / "log"
    listener = {
        "tls": {"certificates": [authority.issue("localhost")], "min_version": "1.3"},
        "filter": {"rules": [{"name": "seen", "path": "/a", "action": "log"}]},
    }
    process = {"log": {"access": str(log), "access_format": "json"}}
    with Origin() as origin, before([origin.row], listener=listener, process=process) as lb:
        if protocol == "HTTP/2":
            sock = secure(lb.connect(), authority.client(alpn=["h2"]))
            with Http2(sock) as http2:
                told = [http2.ask(one, host="localhost").status for one in ("/a", "/b")]
        else:
            with encrypted(lb, authority) as peer:
                told = [peer.ask(one).status for one in ("/a", "/b")]
        assert told == [200, 200]
        until(lambda: log.exists() and log.read_text().count("\n") == 2, "two lines")
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        assert [(row["protocol"], row["sni"], row["tls"]) for row in rows] == [
            (protocol, "localhost", "TLSv1.3")
        ] * 2
        assert [row.get("filter") for row in rows] == ["seen", None]


def test_alpn_chooses_http_1_1(both: tuple[Balancer, Origin], authority: Authority) -> None:
    lb, _ = both
    sock = secure(lb.connect(), authority.client(alpn=["http/1.1"]))
    with Peer(sock) as peer:
        assert sock.selected_alpn_protocol() == "http/1.1"
        assert peer.ask().status == 200


def test_pipelined_requests_in_one_record_are_answered_in_order(
    both: tuple[Balancer, Origin], authority: Authority
) -> None:
    lb, _ = both
    with encrypted(lb, authority) as peer:
        peer.say(b"".join(request(f"/{n}", "PUT", body=b"b" * n) for n in range(30)))
        assert [peer.answer("PUT").body for _ in range(30)] == [
            f"a /{n}".encode() for n in range(30)
        ]


@pytest.mark.parametrize("kind", ["length", "chunks", "until close"])
def test_large_bodies_pass_over_tls_on_both_sides(
    both: tuple[Balancer, Origin], authority: Authority, kind: str
) -> None:
    lb, origin = both
    stream = Stream(8, 3 * MIB)
    data = bytes(stream.part(0, 1_000_003)) * 4
    data = data[: stream.size]

    def answering(asked: Request) -> Reply:
        assert asked.body == data
        if kind == "length":
            return Reply(answer(data))
        if kind == "chunks":
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            return Reply(
                head + chunked(*(data[at : at + 9999] for at in range(0, len(data), 9999)))
            )
        return Reply(b"HTTP/1.1 200 OK\r\n\r\n" + data, "close")

    origin.answering = answering
    try:
        with encrypted(lb, authority) as peer:
            for _ in range(2):
                fields = [("Content-Length", f"{len(data)}")]
                peer.say(request("/", "POST", fields=fields))
                send(peer.sock, stream, Manner(50_000))  # the origin answers when it has all of it
                assert peer.answer("POST").body == data
    finally:
        origin.answering = path_and_name("a")
    until(lambda: lb.total("active") == 0, "no place is held")


def test_clear_text_on_a_tls_listener_is_no_request(both: tuple[Balancer, Origin]) -> None:
    lb, origin = both
    origin.requests.clear()
    with Peer(lb.connect()) as peer:
        peer.say(request("/clear"))
        assert b"200" not in peer.bytes_to_end()
    assert origin.targets() == []


def test_a_client_certificate_can_be_required(authority: Authority) -> None:
    certificates = [authority.issue("localhost")]
    listener = {"tls": {"certificates": certificates, "ca": authority.path, "verify": "required"}}
    with (
        Origin() as origin,
        before([origin.row], listener=listener) as lb,
        encrypted(lb, authority, cert=authority.issue("someone")) as peer,
    ):
        assert peer.ask().status == 200
