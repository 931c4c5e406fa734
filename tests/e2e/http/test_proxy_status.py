"""Proxy-Status (RFC 9209): answers that l4lb makes itself say why, where that is asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..harness import PORTS, Balancer
from ..harness.http import answer, before, client, request
from ..harness.origin import Origin, Reply

LISTENER = {
    "filter": {"rules": [{"name": "git", "path_prefix": "/.git", "action": "deny"}]},
    "routes": [
        {"path": "/old", "redirect": "/new"},
        {"path": "/dead", "pool": "dead"},
    ],
}


@pytest.fixture(scope="module")
def service() -> Iterator[Balancer]:
    def answering(asked: object) -> bytes | Reply:
        target = getattr(asked, "target", "")
        if target == "/cut":
            return Reply(b"", "close")
        if target == "/junk":
            return Reply(b"no answer\r\n\r\n", "close")
        return answer(b"x", status=404)

    with Origin(answering) as origin, PORTS.taken() as port:
        lb = before([origin.row], http={"proxy_status": True}, listener=LISTENER)
        assert lb.config
        lb.config["pools"]["dead"] = {"backends": [f"127.0.0.1:{port}"]}
        with lb:
            yield lb


@pytest.mark.parametrize(
    ("said", "status", "wanted"),
    [
        (request("/.git/x"), 403, 'l4lb; error=http_request_denied; details="filter"'),
        (request("/a", host=None), 400, 'l4lb; error=http_request_error; details="no_host"'),
        (request("/dead"), 502, "l4lb; error=connection_refused"),
        (request("/cut"), 502, "l4lb; error=connection_terminated"),
        (request("/junk"), 502, "l4lb; error=http_protocol_error"),
        (request("/old"), 302, "l4lb; error=proxy_internal_response"),
        (request("/a"), 404, None),
    ],
)
def test_an_answer_of_our_own_says_why(
    service: Balancer, said: bytes, status: int, wanted: str | None
) -> None:
    with client(service) as peer:
        peer.say(said)
        got = peer.answer()
        assert (got.status, got.get("proxy-status")) == (status, wanted)


def test_the_name_of_the_proxy_is_that_of_via() -> None:
    for via, wanted in (("edge1", "edge1"), ("1edge", '"1edge"')):
        http = {"proxy_status": True, "via": via}
        with before(["127.0.0.1:1"], http=http) as lb, client(lb) as peer:
            assert (peer.ask().get("proxy-status") or "").startswith(f"{wanted}; error=")


def test_nothing_is_said_unless_it_is_asked_for() -> None:
    with before(["127.0.0.1:1"]) as lb, client(lb) as peer:
        assert peer.ask().get("proxy-status") is None
