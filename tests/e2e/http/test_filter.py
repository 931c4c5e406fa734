"""The filter of an HTTP listener, through the installed program: what is refused and how, what only
counts, and what operators are told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ..harness import PORTS, Balancer
from ..harness.configuration import toml
from ..harness.deadline import until
from ..harness.http import before, client, outcome, request
from ..harness.metrics import Metrics
from ..harness.origin import Origin


@contextmanager
def filtered(
    *rules: dict[str, Any],
    methods: list[str] | None = None,
    routes: list[dict[str, Any]] | None = None,
    **more: Any,
) -> Iterator[tuple[Balancer, Origin]]:
    """A balancer whose listener has this filter, and the origin behind it."""
    its: dict[str, Any] = {"rules": list(rules)}
    if methods:
        its["methods"] = methods
    listener = {"filter": its, "routes": routes or []}
    with Origin() as origin, before([origin.row], listener=listener, **more) as lb:
        yield lb, origin


def hits(lb: Balancer) -> dict[str, int]:
    return {row["rule"]: row["hits"] for row in lb.admin("filters", "web")}


def targets(origin: Origin) -> list[str]:
    return [one.target for one in origin.requests]


def rule(name: str, action: str = "deny", **keys: Any) -> dict[str, Any]:
    return {"name": name, "action": action, **keys}


def test_a_denied_request_reaches_no_backend_and_its_client_may_ask_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    rules = [rule("git", path_prefix="/.git"), rule("gone", path="/x", status=410)]
    process = {"log": {"access": str(log), "access_format": "json"}}
    with filtered(*rules, process=process) as (lb, origin), client(lb) as peer:
        answers = [peer.ask(target) for target in ("/.git/config", "/a", "/x", "/b")]
        assert [one.status for one in answers] == [403, 200, 410, 200]
        assert targets(origin) == ["/a", "/b"]
        assert hits(lb) == {"git": 1, "gone": 1}
        told = lb.admin("explain", "web", "--request", "GET http://a.test/.git/x")
        assert (told["outcome"], told["status"], told["why"]) == ("refused", 403, "filter git")
        until(lambda: log.exists() and len(log.read_text().splitlines()) >= 4, "lines are written")
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        refused = [row for row in rows if row["status"] == 403]
        assert {(row["end"], row["fault"]) for row in refused} == {("rejected:filter", "filter")}


def test_methods_that_are_not_allowed_get_405_with_those_that_are() -> None:
    with filtered(methods=["GET", "PURGE"]) as (lb, origin), client(lb) as peer:
        assert peer.ask("/a").status == 200
        assert peer.ask("/b", "PURGE").status == 200
        refused = peer.ask("/c", "DELETE")
        assert (refused.status, refused.all("allow")) == (405, ["GET, PURGE"])
        assert peer.ask("/d", "HEAD").status == 405
        assert targets(origin) == ["/a", "/b"]
        assert hits(lb) == {"methods": 2}


def test_a_client_in_the_tarpit_is_held_in_silence_and_then_reset() -> None:
    tarpit = rule("wp", "tarpit", path_prefix="/wp-")
    limits = {"tarpit_time": "1s"}
    with filtered(tarpit, limits=limits) as (lb, origin), client(lb) as held, client(lb) as other:
        held.say(request("/wp-login.php"))
        until(lambda: hits(lb) == {"wp": 1}, "the request is counted")
        assert other.ask("/a").status == 200
        assert held.ended() == "reset"
        assert targets(origin) == ["/a"]
        (row,) = lb.admin("filters", "web")
        assert (row["action"], row["when"]) == ("tarpit", "path_prefix /wp-")


def test_clients_in_the_tarpit_that_leave_are_forgotten() -> None:
    tarpit = rule("wp", "tarpit", path_prefix="/wp-")
    with filtered(tarpit, limits={"tarpit_time": "60s"}) as (lb, _):
        with client(lb) as held:
            held.say(request("/wp-login.php"))
            until(lambda: [s["state"] for s in lb.admin("sessions")] == ["tarpit"], "it is held")
        until(lambda: lb.admin("sessions") == [], "it is gone")


def test_a_dry_run_counts_what_it_would_have_refused() -> None:
    rules = [
        rule("agent", user_agent="", dry_run=True),
        rule("pit", "tarpit", path="/a", dry_run=True),
        rule("login", "limit", path="/a", limit=1, burst=1, dry_run=True),
        rule("seen", "log", path_prefix="/"),
    ]
    with filtered(*rules) as (lb, origin), client(lb) as peer:
        assert [peer.ask("/a").status for _ in range(20)] == [200] * 20
        assert peer.ask("/b", fields=[("User-Agent", "curl")]).status == 200
        counted = hits(lb)
        assert 1 <= counted.pop("login") <= 19
        assert counted == {"agent": 20, "pit": 20, "seen": 21}
        assert len(origin.requests) == 21
        assert peer.ask("/a").get("retry-after") is None


def test_requests_of_a_source_above_a_rules_limit_get_429() -> None:
    limit = rule("login", "limit", path="/login", limit=1, burst=2)
    with filtered(limit) as (lb, _), client(lb) as peer:
        assert [peer.ask("/login").status for _ in range(2)] == [200, 200]
        # A slow machine may earn a few more requests while it asks.
        refused = next(one for one in (peer.ask("/login") for _ in range(500)) if one.status != 200)
        assert refused.status == 429
        assert int(refused.get("retry-after") or 0) >= 1
        assert peer.ask("/").status == 200
        assert hits(lb) == {"login": 1}


def test_the_first_rule_that_refuses_decides_and_rules_come_before_routes() -> None:
    rules = [
        rule("all", "log", path_prefix="/"),
        rule("a", path_prefix="/a", status=404),
        rule("b", path_prefix="/a/b", status=410),
    ]
    routes = [{"path_prefix": "/", "respond": {"status": 204}}]
    with filtered(*rules, routes=routes) as (lb, _), client(lb) as peer:
        assert [peer.ask(one).status for one in ("/a/b", "/c")] == [404, 204]
        assert hits(lb) == {"all": 2, "a": 1, "b": 0}
        assert [row["requests"] for row in lb.admin("routes", "web")] == [1]


@pytest.mark.parametrize(
    ("condition", "met", "unmet"),
    [
        ({"query_length": "4B"}, request("/?abcde"), request("/?abcd")),
        ({"body_over": "3B"}, request("/", "POST", body=b"abcd"), request("/", "POST", body=b"ab")),
        ({"header_count": 2}, request("/", fields=[("A", "1"), ("B", "2")]), request("/")),
        (
            {"user_agent": ["*bot*", "sqlmap*"]},
            request("/", fields=[("User-Agent", "Crawlbot/1")]),
            request("/", fields=[("User-Agent", "curl")]),
        ),
        ({"host": "*.evil.test"}, request("/", host="a.evil.test"), request("/")),
        ({"source": "127.0.0.0/8"}, request("/"), None),
        ({"source": "10.0.0.0/8"}, None, request("/")),
    ],
)
def test_a_rule_looks_at_its_condition(
    condition: dict[str, Any], met: bytes | None, unmet: bytes | None
) -> None:
    with filtered(rule("it", **condition)) as (lb, _):
        for said, wanted in ((met, 403), (unmet, 200)):
            if said is not None:
                with client(lb) as peer:
                    peer.say(said)
                    assert outcome(peer) == wanted


def test_a_reload_changes_rules_for_the_next_request_and_keeps_their_hits() -> None:
    with Origin() as origin:
        listener: dict[str, Any] = {
            "bind": [f"127.0.0.1:{PORTS.take()}"],
            "protocol": "http",
            "pool": "web",
            "filter": {"rules": [rule("x", path="/x")]},
        }
        config = {"listeners": {"web": listener}, "pools": {"web": {"backends": [origin.row]}}}
        with Balancer(config) as lb, client(lb) as peer:
            assert peer.ask("/x").status == 403
            listener["filter"] = {"rules": [rule("y", path="/y"), rule("x", path="/z", status=404)]}
            (lb.folder / "l4lb.toml").write_text(toml(config))
            lb.admin("reload")
            assert [peer.ask(one).status for one in ("/x", "/y", "/z")] == [200, 403, 404]
            assert hits(lb) == {"y": 1, "x": 2}
            del listener["filter"]
            (lb.folder / "l4lb.toml").write_text(toml(config))
            lb.admin("reload")
            assert peer.ask("/z").status == 200
            assert lb.admin("filters", "web") == []


def test_hits_of_rules_are_metrics() -> None:
    http = f"127.0.0.1:{PORTS.take()}"
    with (
        filtered(rule("it", path="/x"), methods=["GET"], process={"http": http}) as (lb, _),
        client(lb) as peer,
    ):
        assert peer.ask("/x").status == 403
        metrics = Metrics(lb)
        counts = [
            metrics.value("l4lb_filter_hits_total", listener="web", rule=name)
            for name in ("it", "methods")
        ]
        assert counts == [1, 0]
        rejected = metrics.value("l4lb_requests_rejected_total", listener="web", reason="filter")
        assert rejected == 1
