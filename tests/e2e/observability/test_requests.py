"""What is known of HTTP requests: access log, metrics, `admin requests` and `admin spare`."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..harness import PORTS, Balancer, until
from ..harness import http as http1
from ..harness.metrics import Metrics
from ..harness.origin import Origin, Reply
from ..harness.web import Answer, Asked, Web, ask, before, exchange

COMBINED = re.compile(
    r"127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "
    r'"(.*?)" (\d{3}) (\d+) "(.*?)" "(.*?)"'
)


def logging_to(path: Path, *backends: Any, style: str = "json", **more: Any) -> Balancer:
    return before(*backends, process={"log": {"access": str(path), "access_format": style}}, **more)


def lines(path: Path, count: int) -> list[str]:
    """Returns the first lines of a log once it has so many."""

    def found() -> list[str]:
        text = path.read_text() if path.exists() else ""
        whole = [one for one in text.splitlines(keepends=True) if one.endswith("\n")]
        return whole if len(whole) >= count else []

    return until(found, f"{path} has {count} lines")


@pytest.fixture
def http() -> Iterator[str]:
    with PORTS.taken() as port:
        yield f"127.0.0.1:{port}"


def test_each_request_has_a_line_with_what_was_asked_and_what_became_of_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with Web() as web, logging_to(path, {"name": "app", "address": web.address}) as lb:
        with lb.connect() as client:
            for number in (1, 2):
                head = f"GET /a/{number}?q=%22x HTTP/1.1\nHost: shop.example\nUser-Agent: t/1\n\n"
                assert exchange(client, head).status == 200
        first, second = map(json.loads, lines(path, 2))
        assert (first["method"], first["scheme"], first["host"]) == ("GET", "http", "shop.example")
        assert (first["path"], first["query"], first["protocol"]) == ("/a/1", "q=%22x", "HTTP/1.1")
        assert (first["status"], first["end"]) == (200, "answered")
        assert (first["listener"], first["pool"], first["backend"]) == ("web", "web", "app")
        assert (first["request_bytes"], first["answer_bytes"]) == (0, len("/a/1?q=%22x"))
        assert (first["reused"], second["reused"]) == (False, True)
        assert (first["requests"], second["requests"]) == (1, 2)
        assert first["user_agent"] == "t/1"
        assert first["route"] is first["referer"] is first["retries_cause"] is None
        assert 0 < first["answer_ms"] <= first["duration_ms"]
        assert first["session"] == second["session"]
        assert first["request_id"] == web.asked[0].get("X-Request-Id")
        assert first.keys() <= documented(), "docs/logging.md has every field"


def documented() -> set[str]:
    page = (Path(__file__).parents[3] / "docs" / "logging.md").read_text()
    section = page.partition("### Requests")[2].partition("\n### ")[0]
    cells = re.findall(r"^\| (`.*?) \| ", section, re.MULTILINE)
    return set(re.findall(r"`(\w+)`", " ".join(cells)))


def test_a_refused_request_has_its_fault_in_its_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with Web() as web, logging_to(path, web.address) as lb:
        with lb.connect() as client:
            head = "POST / HTTP/1.1\nHost: a\nContent-Length: 1\nContent-Length: 1\n\n"
            assert exchange(client, head).status == 400
        (found,) = map(json.loads, lines(path, 1))
        assert (found["status"], found["end"]) == (400, "rejected:bad_request")
        assert found["fault"] == "two_lengths"
        assert found["backend"] is None


def test_a_log_tells_no_more_than_it_may(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = {
        "access": str(path), "access_format": "json", "query": False, "mask_client": [20, 48],
    }  # fmt: skip
    with Web() as web, before(web.address, process={"log": log}) as lb:
        assert ask(lb, "/a?secret", {"Referer": "http://a.example/b?token"}).status == 200
        (line,) = lines(path, 1)
        found = json.loads(line)
        assert (found["path"], found["query"]) == ("/a", None)
        assert found["referer"] == "http://a.example/b"
        assert found["client"].startswith("127.0.0.0:")


@pytest.mark.parametrize("style", ["text", "json"])
def test_what_clients_send_stays_within_its_line_and_its_value(tmp_path: Path, style: str) -> None:
    path = tmp_path / "log"
    agent = 'x" end=forged \\ \xff\t{"a":1}'
    with Web() as web, logging_to(path, web.address, style=style) as lb:
        assert ask(lb, "/" + 600 * "a", {"User-Agent": agent}).status == 200
        (line,) = lines(path, 1)
        if style == "json":
            found = json.loads(line)
            assert found["user_agent"] == agent
            assert len(found["path"]) == 512
            assert found["cut"] is True
        else:
            words = dict(re.findall(r' (\w+)=("(?:[^"\\]|\\.)*"|\S+)', line))
            assert json.loads(words["user_agent"]) == agent
            assert (words["end"], words["cut"]) == ("answered", "yes")


def test_the_combined_format_is_that_of_web_servers(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with Web() as web, logging_to(path, web.address, style="combined") as lb:
        fields = {"User-Agent": 'Mozilla/5.0 "X11"', "Referer": "http://a.example/"}
        assert ask(lb, "/a?b=c", fields).status == 200
        assert ask(lb, "/", method="HEAD").status == 200
        first, second = lines(path, 2)
        match = COMBINED.fullmatch(first.rstrip("\n"))
        assert match is not None, first
        assert match.groups() == (
            "GET /a?b=c HTTP/1.1", "200", "6", "http://a.example/",
            r"Mozilla/5.0 \x22X11\x22",
        )  # fmt: skip
        again = COMBINED.fullmatch(second.rstrip("\n"))
        assert again is not None
        assert again.groups() == ("HEAD / HTTP/1.1", "200", "0", "-", "-")


def test_squid_s_format_is_one_that_its_tools_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    squid = re.compile(
        r"(\d+\.\d{3}) +(\d+) (\S+) (TCP_\w+)/(\d{3}) (\d+) (\S+) (\S+) (\S+) (\w+)/(\S+) -"
    )
    with (
        Web() as web,
        logging_to(path, {"name": "app", "address": web.address}, style="squid") as lb,
    ):
        assert ask(lb, "/a?b=c").status == 200
        assert ask(lb, "/a%20b").status == 200
        first, second = (squid.fullmatch(one.rstrip("\n")) for one in lines(path, 2))
        assert first is not None
        assert second is not None
        assert first.group(3, 4, 5, 6, 7, 9, 10, 11) == (
            "127.0.0.1", "TCP_MISS", "200", "6", "GET", "-", "FIRSTUP_PARENT", "app",
        )  # fmt: skip
        assert first.group(8).startswith("http://")
        assert first.group(8).endswith("/a?b=c")


def test_a_request_without_an_answer_names_the_backend_that_gave_none(tmp_path: Path) -> None:
    path = tmp_path / "log"

    def answering(_: http1.Request) -> Reply:
        return Reply(b"", "reset")

    with Origin(answering) as origin, logging_to(path, {**origin.row, "name": "bad"}) as lb:
        assert ask(lb).status == 502
        assert json.loads(lines(path, 1)[0])["backend"] == "bad"
    with PORTS.taken() as port:
        gone = {"name": "gone", "address": f"127.0.0.1:{port}"}
        with logging_to(path, gone, retries=0) as lb:
            assert ask(lb).status == 502
            found = json.loads(lines(path, 2)[1])
            assert (found["end"], found["backend"]) == ("connect_failed", "gone")


def test_metrics_count_requests_by_listener_and_by_backend(http: str) -> None:
    def status(asked: Asked) -> Answer:
        return Answer(int(asked.path.strip("/")), body=b"0123456789")

    with (
        Web(status) as web,
        before({"name": "app", "address": web.address}, process={"http": http}) as lb,
    ):
        for code in (200, 201, 404, 500):
            assert ask(lb, f"/{code}", method="POST", body=b"abc").status == code
        with lb.connect() as client:
            assert exchange(client, "GET nonsense HTTP/1.1\nHost: a\n\n").status == 400
        metrics = Metrics(lb)
        of = {"listener": "web"}
        counts = {
            word: metrics.value("l4lb_requests_total", **of, code_class=word)
            for word in ("2xx", "4xx", "5xx", "none")
        }
        assert counts == {"2xx": 2, "4xx": 2, "5xx": 1, "none": 0}
        assert metrics.value("l4lb_request_bytes_total", **of, direction="in") == 12
        rejected = metrics.value("l4lb_requests_rejected_total", **of, reason="bad_request")
        assert rejected == 1
        at = {"pool": "web", "backend": "app"}
        assert metrics.value("l4lb_backend_requests_total", **at, code_class="2xx") == 2
        assert metrics.value("l4lb_backend_requests_total", **at, code_class="4xx") == 1
        assert metrics.value("l4lb_backend_requests_active", **at) == 0
        # A first request that is not idempotent uses no connection of another client's.
        assert metrics.value("l4lb_spare_connections", **at) == 4
        assert metrics.value("l4lb_request_seconds_count", pool="web") == 5
        assert metrics.value("l4lb_request_first_byte_seconds_count", pool="web") == 4
        reuse = {
            result: metrics.value("l4lb_reuse_total", pool="web", result=result)
            for result in ("fresh", "reused", "stale")
        }
        assert reuse == {"fresh": 4, "reused": 0, "stale": 0}


def test_the_route_of_a_request_is_counted_and_logged(tmp_path: Path, http: str) -> None:
    path = tmp_path / "log"
    process = {"http": http, "log": {"access": str(path), "access_format": "json"}}
    routes = [
        {"path_prefix": "/old/", "redirect": "/new/"},
        {"path_prefix": "/api/", "pool": "web"},
    ]
    with (
        Web() as web,
        before(web.address, process=process, listener={"routes": routes}) as lb,
    ):
        assert ask(lb, "/old/a").status == 302
        for _ in range(2):
            assert ask(lb, "/api/b").status == 200
        assert ask(lb, "/c").status == 200
        metrics = Metrics(lb)
        counts = [
            metrics.value("l4lb_route_requests_total", listener="web", route=str(number))
            for number in (1, 2, 3)
        ]
        assert counts == [1, 2, None]
        found = [json.loads(line) for line in lines(path, 4)]
        assert [row["route"] for row in found] == [1, 2, 2, None]
        assert [row["backend"] is None for row in found] == [True, False, False, False]


def test_a_pool_without_requests_has_no_metrics_of_requests(http: str) -> None:
    with Web() as web, Balancer.before([web.address], workers=1, process={"http": http}) as lb:
        assert ask(lb).status == 200
        metrics = Metrics(lb)
        assert metrics.value("l4lb_request_seconds_count", pool="web") is None
        assert metrics.value("l4lb_requests_total", listener="web", code_class="2xx") is None


def test_requests_in_progress_are_shown_with_their_age() -> None:
    release = threading.Event()

    def slow(asked: Asked) -> Answer:
        if asked.path.startswith("/slow"):
            release.wait(30)
        return Answer(200)

    with Web(slow) as web, before({"name": "app", "address": web.address}) as lb:
        try:
            with lb.connect() as client, lb.connect() as at_rest:
                exchange(at_rest, "GET / HTTP/1.1\nHost: b\n\n")
                client.sendall(b"GET /slow?x HTTP/1.1\r\nHost: a.example\r\n\r\n")
                rows = until(lambda: lb.admin("requests", "--slow", "100ms"), "it is slow")
                (row,) = rows
                assert (row["method"], row["host"], row["target"]) == (
                    "GET",
                    "a.example",
                    "/slow?x",
                )
                assert (row["state"], row["backend"], row["number"]) == ("exchange", "app", 1)
                assert row["age_ms"] >= 100
                assert lb.admin("requests", "--backend", "web/app") != []
                assert lb.admin("requests", "--slow", "1h") == []
                states = {one["id"]: one["state"] for one in lb.admin("sessions")}
                assert sorted(states.values()) == ["exchange", "request"]
                assert {one["protocol"] for one in lb.admin("sessions")} == {"http"}
                lb.admin("kill", row["session"])
                until(lambda: not lb.admin("requests"), "the request has ended")
        finally:
            release.set()


def test_connections_that_wait_for_a_request_are_shown() -> None:
    with Web() as web, before({"name": "app", "address": web.address}) as lb:
        assert lb.admin("spare") == []
        for _ in range(3):
            ask(lb)
        (row,) = lb.admin("spare")
        assert row == {
            "pool": "web", "backend": "app", "worker": 0, "connections": 1,
            "reused": 2, "fresh": 1, "stale": 0,
        }  # fmt: skip


def test_a_killed_worker_loses_no_count_and_tells_of_its_request(tmp_path: Path, http: str) -> None:
    release = threading.Event()

    def slow(asked: Asked) -> Answer:
        if asked.path.startswith("/slow"):
            release.wait(30)
        return Answer(200)

    path = tmp_path / "log"
    process = {"http": http, "log": {"access": str(path), "access_format": "json"}}
    with Web(slow) as web, before({"name": "app", "address": web.address}, process=process) as lb:
        try:
            for _ in range(5):
                assert ask(lb).status == 200
            with lb.connect() as client:
                client.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
                until(lambda: lb.admin("requests"), "the request is with its backend")
                old = lb.kill(0)
                lb.wait_for_new_worker(0, old)
        finally:
            release.set()
        metrics = Metrics(lb)
        of = {"listener": "web"}
        assert metrics.value("l4lb_requests_total", **of, code_class="2xx") == 5
        assert metrics.value("l4lb_requests_total", **of, code_class="none") == 1
        found = [json.loads(line) for line in lines(path, 6)]
        assert [row["end"] for row in found] == 5 * ["answered"] + ["error:WORKER_DIED"]
        assert found[-1]["path"] == "/slow"
        assert lb.admin("requests") == []
        assert lb.admin("spare") == []  # its connections died with it


def test_an_upgrade_keeps_the_counts_of_requests(http: str) -> None:
    with (
        Web() as web,
        before({"name": "app", "address": web.address}, process={"http": http}) as lb,
    ):
        for _ in range(3):
            assert ask(lb).status == 200
        lb.admin("upgrade")
        assert ask(lb).status == 200
        metrics = Metrics(lb)

        def counted() -> bool:
            at = {"pool": "web", "backend": "app", "code_class": "2xx"}
            return (
                metrics.value("l4lb_requests_total", listener="web", code_class="2xx") == 4
                and metrics.value("l4lb_backend_requests_total", **at) == 4
            )

        until(counted, "the counts of both programs are there", timeout_s=30)
