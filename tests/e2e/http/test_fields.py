"""Header fields: what backends are told of the client, what clients are not told of backends, and
what belongs to one connection and stays there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from doors.wire import write_proxy

from ..harness import Door, until
from ..harness.http import Fields, Message, Peer, Request, answer, before, client, request
from ..harness.origin import Origin
from .conftest import Pair

SPOOFED = [
    ("X-Forwarded-For", "203.0.113.9"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "evil.test"),
    ("Forwarded", "for=203.0.113.9;proto=https"),
]


def names(message: Message) -> set[str]:
    return {key for key, _ in message.fields}


def asked(pair: Pair, fields: Fields = (), **more: str) -> Request:
    """Returns what the backend gets of a request with these fields."""
    with pair.client() as peer:
        peer.say(request(fields=fields, **more))  # type: ignore[arg-type]
        assert peer.answer().status == 200
    return pair.origin.requests[-1]


def test_fields_pass_in_their_order_with_their_values(pair: Pair) -> None:
    sent = [("X-One", "1"), ("x-two", "a,  b"), ("X-One", "again"), ("Cookie", "a=b; c=d"),
            ("X-Empty", ""), ("X-High", "caf\xe9")]  # fmt: skip
    got = asked(pair, sent)
    assert [one for one in got.fields if one[0] in ("x-one", "x-two", "x-empty")] == [
        ("x-one", "1"),
        ("x-two", "a,  b"),
        ("x-one", "again"),
        ("x-empty", ""),
    ]
    assert (got.get("cookie"), got.get("x-high")) == ("a=b; c=d", "caf\xe9")


def test_fields_of_one_connection_are_not_passed_on(pair: Pair) -> None:
    sent = [("Connection", "keep-alive, X-Mine"), ("X-Mine", "1"), ("Keep-Alive", "timeout=5"),
            ("Proxy-Connection", "close"), ("TE", "trailers"), ("Trailer", "X-T"),
            ("Upgrade", "h2c"), ("X-Yours", "1")]  # fmt: skip
    got = names(asked(pair, sent))
    assert "x-yours" in got
    assert not got & {"x-mine", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"}


def test_fields_of_the_backends_connection_are_not_passed_on(pair: Pair) -> None:
    fields = [("Connection", "X-Mine"), ("X-Mine", "1"), ("Keep-Alive", "timeout=5"),
              ("X-Yours", "1")]  # fmt: skip
    pair.answers(lambda _: answer(b"x", fields=fields))
    with pair.client() as peer:
        got = names(peer.ask())
        assert "x-yours" in got
        assert not got & {"x-mine", "keep-alive", "connection"}


def test_a_backend_is_told_of_the_client_and_what_the_client_claims_is_dropped(pair: Pair) -> None:
    got = asked(pair, SPOOFED)
    assert got.get("x-forwarded-for") == "127.0.0.1"
    assert got.get("x-forwarded-proto") == "http"
    assert got.get("x-forwarded-host") == "example.test"
    assert got.get("forwarded") is None


def test_a_field_with_an_underscore_is_dropped(pair: Pair) -> None:
    got = asked(pair, [("X_Forwarded_For", "203.0.113.9"), ("X-Fine", "1")])
    assert "x_forwarded_for" not in names(got)
    assert "x-fine" in names(got)


@pytest.mark.parametrize(
    ("http", "wanted"),
    [
        ({"forwarded": "append", "trusted": ["127.0.0.0/8"]}, "203.0.113.9, 127.0.0.1"),
        ({"forwarded": "append", "trusted": ["10.0.0.0/8"]}, "127.0.0.1"),
        ({"forwarded": "replace", "trusted": ["127.0.0.0/8"]}, "203.0.113.9"),
        ({"forwarded": "replace"}, "127.0.0.1"),
        ({"forwarded": "off"}, None),
        ({"forwarded": "rfc7239"}, None),
    ],
)
def test_x_forwarded_for_says_what_the_listener_is_told_to_say(
    http: dict[str, object], wanted: str | None
) -> None:
    with Origin() as origin, before([origin.row], http=http) as lb, client(lb) as peer:
        assert peer.ask(fields=SPOOFED).status == 200
        got = origin.requests[0]
        assert got.get("x-forwarded-for") == wanted
        if http["forwarded"] == "rfc7239":
            told = got.get("forwarded") or ""
            assert "203.0.113.9" not in told
            assert "for=127.0.0.1" in told.replace('"', "")
            assert "proto=http" in told
        if "127.0.0.0/8" not in str(http) or http["forwarded"] == "replace":
            assert "evil.test" not in str(got.fields)


def test_headers_that_name_the_server_are_hidden_from_clients(pair: Pair) -> None:
    fields = [("Server", "Apache/2.2.1"), ("X-Powered-By", "PHP/5"), ("Via", "1.1 inner"),
              ("X-AspNet-Version", "4"), ("X-Fine", "1")]  # fmt: skip
    pair.answers(lambda _: answer(b"x", fields=fields))
    with pair.client() as peer:
        got = peer.ask()
        assert "x-fine" in names(got)
        assert not names(got) & {"server", "x-powered-by", "via", "x-aspnet-version"}


def test_hide_names_other_fields_and_via_names_this_proxy() -> None:
    fields = [("Server", "kept"), ("X-Secret", "1"), ("x-secret", "2")]
    http = {"hide": ["X-Secret"], "via": "edge"}
    with (
        Origin(lambda _: answer(b"x", fields=fields)) as origin,
        before([origin.row], http=http) as lb,
        client(lb) as peer,
    ):
        got = peer.ask()
        assert got.get("server") == "kept"
        assert "x-secret" not in names(got)
        assert got.get("via") == "1.1 edge"
        assert origin.requests[0].get("via") == "1.1 edge"


def test_an_answer_without_date_gets_one_and_a_backends_date_is_kept(pair: Pair) -> None:
    with pair.client() as peer:
        date = peer.ask().get("date") or ""
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", date), date
        mine = "Sun, 06 Nov 1994 08:49:37 GMT"
        pair.answers(lambda _: answer(b"", fields=[("Date", mine)]))
        assert peer.ask().all("date") == [mine]


def test_each_request_has_an_id_of_its_own_that_both_sides_get(pair: Pair) -> None:
    pair.answers(lambda one: answer(str(one.get("x-request-id")).encode()))
    with pair.client() as peer:
        answers = [peer.ask(fields=[("X-Request-Id", "mine")]) for _ in range(5)]
    ids = [one.body.decode() for one in answers]
    assert len(set(ids)) == 5
    assert "mine" not in ids
    assert all(len(one) >= 16 for one in ids)
    assert [one.get("x-request-id") for one in answers] == ids


def test_a_trusted_proxy_may_give_the_request_its_id() -> None:
    http = {"trusted": ["127.0.0.0/8"], "request_id": "X-Trace"}
    with Origin() as origin, before([origin.row], http=http) as lb, client(lb) as peer:
        assert peer.ask(fields=[("X-Trace", "given-1")]).get("x-trace") == "given-1"
        assert origin.requests[0].get("x-trace") == "given-1"


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [("keep", "example.test"), ("app.internal:8080", "app.internal:8080"), ("backend", None)],
)
def test_the_host_that_a_backend_gets_is_chosen_by_its_pool(rule: str, wanted: str | None) -> None:
    with Origin() as origin:
        row = {"address": origin.address}
        with before([row], pool_http={"host": rule}) as lb, client(lb) as peer:
            assert peer.ask().status == 200
            assert origin.requests[0].all("host") == [wanted or origin.address]
            assert origin.requests[0].get("x-forwarded-host") == "example.test"


def test_a_named_backend_gets_its_address_as_host() -> None:
    with Origin() as origin, before([origin.row], pool_http={"host": "backend"}) as lb:
        with client(lb) as peer:
            assert peer.ask().status == 200
        assert origin.requests[0].get("host") == origin.address


@pytest.mark.parametrize("target", ["/", "/a/../b?c=%41&d", "/%2e%2e/x", "//a///b", "/a;b=c?//"])
def test_the_target_reaches_the_backend_as_it_came(pair: Pair, target: str) -> None:
    with pair.client() as peer:
        peer.say(request(target))
        status = peer.answer().status
    if target == "/%2e%2e/x":
        assert status == 400
        return
    assert pair.origin.targets() == [target]


@pytest.mark.parametrize(
    ("target", "origin_form"),
    [
        ("http://other.test/a?b", "/a?b"),
        ("http://other.test", "/"),
        ("http://other.test:8080?x", "/?x"),
        ("HTTP://OTHER.test/", "/"),
    ],
)
def test_an_absolute_target_becomes_a_path_and_its_host_wins(
    pair: Pair, target: str, origin_form: str
) -> None:
    with pair.client() as peer:
        assert peer.ask(target).status == 200
    got = pair.origin.requests[-1]
    assert got.target == origin_form
    host = target.split("/")[2].split("?")[0]
    assert (got.get("host") or "").lower() == host.lower()


def test_options_for_the_whole_server_is_passed_on(pair: Pair) -> None:
    with pair.client() as peer:
        assert peer.ask("*", "OPTIONS").status == 200
    assert pair.origin.targets() == ["*"]


def test_a_request_of_1_0_without_host_gets_one(pair: Pair) -> None:
    with pair.client() as peer:
        peer.say(request(version="1.0", host=None))
        assert peer.answer().status == 200
    assert len(pair.origin.requests[-1].all("host")) == 1


def test_extension_methods_pass(pair: Pair) -> None:
    with pair.client() as peer:
        for method in ("PATCH", "DELETE", "PROPFIND", "X-ODD"):
            assert peer.ask("/m", method).status == 200
    assert [one.method for one in pair.origin.requests] == ["PATCH", "DELETE", "PROPFIND", "X-ODD"]


def test_https_redirect_sends_clients_in_clear_text_to_https() -> None:
    http = {"https_redirect": True}
    with Origin() as origin, before([origin.row], http=http) as lb, client(lb) as peer:
        got = peer.ask("/a?b=c")
        assert got.status in (301, 308)
        assert got.get("location") == "https://example.test/a?b=c"
        got = peer.ask("/a", "POST", body=b"x")
        assert (got.status, got.get("location")) == (308, "https://example.test/a")
        assert not origin.requests


def test_a_client_behind_a_proxy_is_named_by_its_header() -> None:
    listener = {"proxy_protocol": "require", "trusted": ["127.0.0.0/8"]}
    with Origin() as origin, before([origin.row], listener=listener) as lb, client(lb) as peer:
        peer.say(write_proxy(1, ("203.0.113.7", 4711), ("198.51.100.1", 443)))
        for _ in range(2):
            assert peer.ask().status == 200
        assert {one.get("x-forwarded-for") for one in origin.requests} == {"203.0.113.7"}
        until(lambda: lb.ask("sessions"), "the session is shown")
        assert "203.0.113.7" in str(lb.ask("sessions"))


@pytest.mark.parametrize("version", [1, 2])
def test_a_pool_that_sends_the_proxy_protocol_shares_no_connection(version: int) -> None:
    with Door() as door, before([door.address], send_proxy=f"v{version}") as lb:
        for n in range(2):
            with client(lb) as peer:
                peer.say(request(f"/{n}"))
                with Peer(door.accept()) as backend:
                    told = backend.bytes_until(b"GET ")
                    assert told.startswith(b"PROXY TCP4 " if version == 1 else b"\r\n\r\n\0\r\n")
                    backend.bytes_until(b"\r\n\r\n")
                    backend.say(answer(b"x"))
                    assert peer.answer().body == b"x"


def test_own_error_pages_are_sent_with_their_type(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "400.html").write_text("<h1>Sorry</h1>")
    http = {"errors": str(tmp_path)}
    with Origin() as origin, before([origin.row], http=http) as lb, client(lb) as peer:
        peer.say(b"GET / HTTP/1.1\n\n")
        got = peer.answer()
        assert (got.status, got.body) == (400, b"<h1>Sorry</h1>")
        assert (got.get("content-type") or "").startswith("text/html")
