"""Requests for other hosts in the absolute form."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..harness.http import Peer, answer
from ..harness.origin import Origin
from .proxy import ask, basic, lines, proxy


def test_a_request_reaches_its_host_in_the_form_of_an_origin(tmp_path: Path) -> None:
    log = tmp_path / "access"
    with Origin(lambda _: answer(b"hello")) as origin, proxy(log=log) as lb:
        got = ask(lb, f"http://{origin.address}/a?b=c", fields=[basic("u", "p")])
        assert (got.status, got.body) == (200, b"hello")
        [asked] = origin.requests
        assert asked.target == "/a?b=c"
        assert asked.get("host") == origin.address
        assert asked.get("proxy-authorization") is None
        [line] = lines(log)
    assert line["rule"] == "all"
    assert line["address"] == origin.address
    assert line["status"] == 200


def test_each_request_of_a_connection_goes_where_it_says() -> None:
    with (
        Origin(name="a") as one,
        Origin(name="b") as other,
        proxy() as lb,
        Peer(lb.connect()) as peer,
    ):
        for origin in (one, other, one, other):
            head = f"GET http://{origin.address}/x HTTP/1.1\r\nHost: {origin.address}\r\n\r\n"
            peer.say(head.encode())
            assert peer.answer("GET").body == f"{origin.name} /x".encode()


def test_an_anonymous_proxy_tells_nothing_of_its_clients() -> None:
    told = [
        ("From", "me@example.com"),
        ("Via", "1.1 me"),
        ("Forwarded", "for=10.1.1.1"),
        ("X-Forwarded-For", "10.1.1.1"),
        ("X-Real-IP", "10.1.1.1"),
        ("Client-IP", "10.1.1.1"),
        ("Referer", "http://secret.example/path?token=1"),
        ("Accept", "*/*"),
    ]
    with Origin() as origin, proxy(anonymous=True) as lb:
        assert ask(lb, f"http://{origin.address}/", fields=told).status == 200
        [asked] = origin.requests
    names = {name.lower(): value for name, value in asked.fields}
    assert names["referer"] == "http://secret.example/"
    assert names["accept"] == "*/*"
    assert not names.keys() & {"x-request-id", *(name.lower() for name, _ in told[:6])}
    assert "127.0.0.1" not in " ".join(names[one] for one in names if one != "host")


@pytest.mark.parametrize("url", ["https://127.0.0.1/", "http://127.0.0.1:0/", "ftp://127.0.0.1/"])
def test_what_is_no_request_for_a_proxy(url: str) -> None:
    with proxy() as lb:
        assert ask(lb, url).status == 400


def test_the_body_of_a_request_goes_along() -> None:
    with (
        Origin(lambda asked: answer(asked.body)) as origin,
        proxy() as lb,
        Peer(lb.connect()) as peer,
    ):
        head = f"POST http://{origin.address}/ HTTP/1.1\r\nHost: {origin.address}\r\n"
        peer.say(head.encode(), b"Content-Length: 50000\r\n\r\n", b"x" * 50_000)
        assert peer.answer("POST").body == b"x" * 50_000


def test_what_a_cache_answers_went_nowhere(tmp_path: Path) -> None:
    log = tmp_path / "access"
    kept = [("Cache-Control", "max-age=1000")]
    with (
        Origin(lambda _: answer(b"hello", fields=kept)) as origin,
        proxy(log=log, http={"cache": "pages"}, cache={"pages": {"memory": "16MiB"}}) as lb,
    ):
        for _ in range(2):
            assert ask(lb, f"http://{origin.address}/a").body == b"hello"
        assert len(origin.requests) == 1
        first, second = lines(log, 2)
    assert first["address"] == origin.address
    assert (second["cache"], second.get("address"), second["rule"]) == ("hit", None, "all")
