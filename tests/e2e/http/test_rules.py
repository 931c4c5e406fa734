"""The keys of [listeners.NAME.http] and [pools.NAME.http], each as clients and backends meet it."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from ..harness import PORTS, Balancer, toml, until
from ..harness.secure import Authority, secure
from ..harness.web import Answer, Asked, Web, ask, before, exchange, read_answer

SPOOFED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "Forwarded": "for=evil"}
GET = "GET / HTTP/1.1\nHost: a.example\n\n"


def reload(lb: Balancer) -> None:
    """Puts the balancer's present configuration in force."""
    assert lb.config is not None
    (lb.folder / "l4lb.toml").write_text(toml(lb.config))
    lb.admin("reload")


@pytest.mark.parametrize("forwarded", ["append", "replace", "rfc7239", "off"])
def test_backends_are_told_of_the_client_and_not_what_it_claims(forwarded: str) -> None:
    with Web() as web, before(web.address, http={"forwarded": forwarded}) as lb:
        assert ask(lb, "/", SPOOFED).status == 200
        (asked,) = web.asked
        has_own = forwarded in ("append", "replace")
        assert asked.get("X-Forwarded-For") == ("127.0.0.1" if has_own else None)
        assert asked.get("X-Forwarded-Proto") == ("http" if has_own else None)
        host = "{}:{}".format(*lb.address)
        assert asked.get("X-Forwarded-Host") == (host if has_own else None)
        told = asked.get("Forwarded") or ""
        assert "evil" not in told
        assert ("for=127.0.0.1" in told) == (forwarded == "rfc7239")


@pytest.mark.parametrize(
    ("forwarded", "wanted"),
    [
        ("append", "203.0.113.9, 127.0.0.1"),
        ("replace", "203.0.113.9"),
        ("off", "203.0.113.9"),
    ],
)
def test_a_trusted_proxy_is_believed(forwarded: str, wanted: str) -> None:
    http = {"forwarded": forwarded, "trusted": ["127.0.0.0/8"]}
    with Web() as web, before(web.address, http=http) as lb:
        ask(lb, "/", {"X-Forwarded-For": "203.0.113.9"})
        assert web.asked[0].get("X-Forwarded-For") == wanted


def hidden(_: Asked) -> Answer:
    return Answer(200, {"X-Powered-By": "PHP", "X-Runtime": "0.1", "X-Own": "1"}, b"ok")


def test_servers_are_hidden_as_configured() -> None:
    with Web(hidden) as web, before(web.address) as lb:
        fields = ask(lb).fields
        assert "server" not in fields
        assert "x-powered-by" not in fields
        assert (fields["x-runtime"], fields["x-own"]) == ("0.1", "1")
        assert lb.config is not None
        for hide, seen in ((["X-Runtime"], {"server", "x-powered-by"}), ([], {"x-runtime"})):
            lb.config["listeners"]["web"]["http"] = {"hide": hide}
            reload(lb)
            assert seen <= ask(lb).fields.keys()


def test_a_page_of_its_own_is_the_answer_to_a_failure(tmp_path: Path) -> None:
    pages = tmp_path / "errors"
    pages.mkdir()
    (pages / "502.html").write_text("<p>we are sorry</p>")
    (pages / "404.txt").write_text("not there")
    with (
        PORTS.taken() as nobody,
        before(f"127.0.0.1:{nobody}", http={"errors": str(pages)}, retries=0) as lb,
    ):
        failed = ask(lb)
        assert (failed.status, failed.body) == (502, b"<p>we are sorry</p>")
        assert failed.fields["content-type"] == "text/html; charset=utf-8"
        (pages / "502.html").write_text("<p>again</p>")
        lb.admin("reload")
        assert ask(lb).body == b"<p>again</p>"


def test_a_folder_of_pages_that_is_not_there_stops_a_reload_and_changes_nothing(
    tmp_path: Path,
) -> None:
    with Web() as web, before(web.address) as lb:
        assert lb.config is not None
        lb.config["listeners"]["web"]["http"] = {"errors": str(tmp_path / "missing")}
        with pytest.raises(AssertionError, match="cannot read the error pages"):
            reload(lb)
        assert ask(lb).status == 200


def test_pages_that_are_lost_stay_and_stop_no_upgrade(tmp_path: Path) -> None:
    pages = tmp_path / "errors"
    pages.mkdir()
    (pages / "502.html").write_text("<p>we are sorry</p>")
    with (
        PORTS.taken() as nobody,
        before(f"127.0.0.1:{nobody}", http={"errors": str(pages)}, retries=0) as lb,
    ):
        shutil.rmtree(pages)
        lb.admin("weight", f"web/127.0.0.1:{nobody}", "3")
        assert ask(lb).body == b"<p>we are sorry</p>"
        lb.admin("upgrade")
        assert ask(lb).status == 502


@pytest.mark.parametrize(
    ("http", "head", "status"),
    [
        ({"max_target": "100B"}, "GET /" + 100 * "a" + " HTTP/1.1\nHost: a\n\n", 414),
        ({"max_fields": 3}, "GET / HTTP/1.1\nHost: a\nA: 1\nB: 2\nC: 3\n\n", 431),
        (
            {"max_head": "1KiB", "max_target": "100B"},
            "GET / HTTP/1.1\nHost: a\nA: " + 1024 * "x" + "\n\n",
            431,
        ),
        ({"max_body": "10B"}, "POST / HTTP/1.1\nHost: a\nContent-Length: 11\n\n", 413),
        ({"underscores": "refuse"}, "GET / HTTP/1.1\nHost: a\nX_Y: 1\n\n", 400),
        ({"head_timeout": "100ms"}, "GET / HTTP/1.1\nHost:", 408),
    ],
)  # fmt: skip
def test_a_request_beyond_a_limit_is_refused_and_reaches_nobody(
    http: dict[str, Any], head: str, status: int
) -> None:
    with Web() as web, before(web.address, http=http) as lb, lb.connect() as client:
        answer = exchange(client, head)
        assert answer.status == status
        assert answer.fields["connection"] == "close"
        assert web.asked == []
        assert ask(lb).status == 200


def test_a_body_of_just_the_limit_is_passed_on() -> None:
    with Web() as web, before(web.address, http={"max_body": "10B"}) as lb:
        assert ask(lb, method="POST", body=10 * b"x").status == 200
        assert web.asked[0].body == 10 * b"x"
        assert ask(lb, method="POST", body=11 * b"x").status == 413


def test_a_connection_is_closed_after_its_last_request_and_when_it_rests_too_long() -> None:
    http = {"max_requests": 2, "rest_timeout": "200ms"}
    with Web() as web, before(web.address, http=http) as lb:
        with lb.connect() as client:
            assert "connection" not in exchange(client, GET).fields
            assert exchange(client, GET).fields["connection"] == "close"
            assert client.recv(1) == b""
        with lb.connect() as client:
            assert exchange(client, GET).status == 200
            assert client.recv(1) == b""  # it ends by itself
        assert len(web.asked) == 3


@pytest.mark.parametrize(("underscores", "wanted"), [("drop", None), ("pass", "1")])
def test_fields_with_an_underscore(underscores: str, wanted: str | None) -> None:
    with Web() as web, before(web.address, http={"underscores": underscores}) as lb:
        ask(lb, "/", {"X_Own": "1"})
        assert web.asked[0].get("X_Own") == wanted


def test_a_request_has_an_identifier_of_its_own_that_only_a_trusted_proxy_may_give() -> None:
    with Web() as web, before(web.address) as lb:
        for _ in range(2):
            answer = ask(lb, "/", {"X-Request-Id": "mine"})
        first, second = (asked.get("X-Request-Id") for asked in web.asked)
        assert first
        assert second
        assert len({first, second, "mine"}) == 3
        assert answer.fields["x-request-id"] == second, "its client is told too"
    http = {"request_id": "X-Trace", "trusted": ["127.0.0.0/8"]}
    with Web() as web, before(web.address, http=http) as lb:
        ask(lb, "/", {"X-Trace": "given"})
        assert web.asked[0].get("X-Trace") == "given"
        assert web.asked[0].get("X-Request-Id") is None
    with Web() as web, before(web.address, http={"request_id": "off"}) as lb:
        ask(lb)
        assert web.asked[0].get("X-Request-Id") is None


def test_connections_to_a_backend_are_used_again_or_not() -> None:
    with Web() as web, before(web.address) as lb:
        for _ in range(3):
            assert ask(lb).status == 200
        assert web.connections == 1
    with Web() as web, before(web.address, pool_http={"reuse": "never"}) as lb:
        for _ in range(3):
            assert ask(lb).status == 200
        assert web.connections == 3
    with Web() as web, before(web.address, pool_http={"max_requests": 2}) as lb:
        for _ in range(4):
            assert ask(lb).status == 200
        assert web.connections == 2


def test_a_backend_that_does_not_answer_in_time_costs_its_request() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        with before(f"{host}:{port}", pool_http={"answer_timeout": "200ms"}, retries=0) as lb:
            assert ask(lb).status == 504


def test_over_tls_the_scheme_is_told_and_browsers_are_told_to_stay() -> None:
    with Authority() as ca, Web() as web:
        tls = {"certificates": [ca.issue("localhost")], "alpn": ["http/1.1"]}
        with before(web.address, http={"hsts": "180d"}, listener={"tls": tls}) as lb:
            context = ca.client(alpn=["h2", "http/1.1"])
            with secure(lb.connect(), context) as client:
                assert client.selected_alpn_protocol() == "http/1.1"
                answer = exchange(client, GET)
            assert answer.fields["strict-transport-security"] == f"max-age={180 * 86_400}"
            assert web.asked[0].get("X-Forwarded-Proto") == "https"
    with Web() as web, before(web.address, http={"hsts": "180d"}) as lb:
        assert "strict-transport-security" not in ask(lb).fields


def test_flags_make_a_reverse_proxy() -> None:
    with PORTS.taken() as port, Web() as web:
        bind = f"127.0.0.1:{port}"
        args = ["run", "--listen", f"http://{bind}", "--backend", web.address]
        with Balancer(args=[*args, "--workers", "1"], bind=bind) as lb:
            assert ask(lb, "/here").body == b"/here"
            assert [row["protocol"] for row in lb.admin("listeners")] == ["http"]


def test_a_listener_learns_http_while_it_serves() -> None:
    with Web() as web, Balancer.before([web.address], workers=1) as lb:
        with lb.connect() as old:
            assert exchange(old, GET).status == 200  # through the relay
            assert web.asked[0].get("X-Forwarded-For") is None
            assert lb.config is not None
            lb.config["listeners"]["web"]["protocol"] = "http"
            reload(lb)
            ask(lb)
            assert web.asked[1].get("X-Forwarded-For") == "127.0.0.1"
            old.sendall(GET.replace("\n", "\r\n").encode())
            assert read_answer(old).status == 200  # its relay goes on
            assert web.asked[2].get("X-Forwarded-For") is None
        until(lambda: not lb.admin("sessions"), "all sessions have ended")
