"""Limits of requests by a key, and of the errors that a source may get, through the installed
program: who is refused, who is not, and what operators see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ..harness import PORTS, Balancer, run
from ..harness.configuration import toml
from ..harness.deadline import until
from ..harness.http import Fields, Peer, Request, answer, before, client
from ..harness.http2 import Http2
from ..harness.metrics import Metrics
from ..harness.origin import Origin, Reply

DAY = {"window": "1d"}  # no error is forgotten while a test runs
PROXY = {"trusted": ["127.0.0.0/8"]}


def by_target(request: Request) -> bytes | Reply:
    """Answers with the status that the target begins with."""
    return answer(b"x", status=int(request.target[1:4]))


@contextmanager
def limited(
    limits: dict[str, Any],
    *,
    listener: dict[str, Any] | None = None,
    auto_block: dict[str, Any] | None = None,
    **more: Any,
) -> Iterator[tuple[Balancer, Origin]]:
    """A balancer whose listener has these limits, and the origin behind it."""
    blocks = {"auto_block": auto_block} if auto_block else None
    its = {"limits": limits, **(listener or {})}
    with (
        Origin(by_target) as origin,
        before([origin.row], listener=its, limits=blocks, **more) as lb,
    ):
        yield lb, origin


def statuses(peer: Peer, *targets: str, fields: Fields = ()) -> list[int]:
    return [peer.ask(target, fields=fields).status for target in targets]


def of(source: str) -> Fields:
    return [("X-Forwarded-For", source)]


# ---- errors of a source --------------------------------------------------------------------------


def test_a_source_with_too_many_errors_is_refused_and_reaches_no_backend(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = {"log": {"access": str(log), "access_format": "json"}}
    errors = {"errors_per_source": {"limit": 3, **DAY}}
    with limited(errors, process=process) as (lb, origin), client(lb) as peer:
        assert statuses(peer, "/404", "/200", "/401", "/302", "/403") == [404, 200, 401, 302, 403]
        refused = peer.ask("/200")
        assert refused.status == 429
        assert int(refused.get("retry-after") or 0) > 20_000  # a third of a day
        assert peer.ask("/404").status == 429
        assert len(origin.requests) == 5
        until(lambda: log.exists() and len(log.read_text().splitlines()) == 7, "seven lines")
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        assert [(row["end"], row.get("fault")) for row in rows[5:]] == [
            ("rejected:error_rate", "error_rate")
        ] * 2


def test_faults_of_backends_are_no_errors_of_their_clients_unless_named() -> None:
    with limited({"errors_per_source": {"limit": 2, **DAY}}) as (lb, _), client(lb) as peer:
        assert statuses(peer, *5 * ["/500"], *5 * ["/503"]) == [500] * 5 + [503] * 5
    named = {"limit": 2, "statuses": [401, "500-503"], "status": 403, **DAY}
    with limited({"errors_per_source": named}) as (lb, _), client(lb) as peer:
        assert statuses(peer, "/404", "/404", "/404", "/401", "/504", "/503") == [
            404, 404, 404, 401, 504, 503
        ]  # fmt: skip
        assert statuses(peer, "/200") == [403]


def test_errors_are_counted_for_the_true_clients_behind_a_proxy() -> None:
    errors = {"errors_per_source": {"limit": 2, **DAY}, "source_prefix": [24, 64]}
    with limited(errors, http=PROXY) as (lb, _), client(lb) as peer:
        assert statuses(peer, "/404", "/404", "/200", fields=of("203.0.113.1")) == [404, 404, 429]
        assert statuses(peer, "/200", fields=of("203.0.113.200")) == [429]  # of the same network
        assert statuses(peer, "/200", fields=of("198.51.100.1")) == [200]
        assert statuses(peer, "/200") == [200]


def test_errors_are_counted_over_all_workers_and_both_protocols() -> None:
    errors = {"errors_per_source": {"limit": 20, **DAY}}
    process = {"http": f"127.0.0.1:{PORTS.take()}"}
    with limited(errors, workers=2, process=process) as (lb, origin), ExitStack() as stack:
        peers = [stack.enter_context(client(lb)) for _ in range(8)]
        streams = [stack.enter_context(Http2(lb.connect())) for _ in range(4)]
        seen: list[int] = []
        for _ in range(3):
            seen += [peer.ask("/404").status for peer in peers]
            seen += [stream.ask("/404").status for stream in streams]
        assert seen == [404] * 20 + [429] * 16
        assert len(origin.requests) == 20
        labels = {"listener": "web", "reason": "error_rate"}
        assert Metrics(lb).value("l4lb_requests_rejected_total", **labels) == 16


def test_answers_of_our_own_count_as_errors_too() -> None:
    rules = [{"name": "git", "path_prefix": "/.git", "action": "deny"}]
    routes = [{"path": "/none", "respond": {"status": 404}}]
    listener = {"filter": {"rules": rules}, "routes": routes}
    errors = {"errors_per_source": {"limit": 2, **DAY}}
    with limited(errors, listener=listener) as (lb, origin), client(lb) as peer:
        assert statuses(peer, "/none", "/.git/config", "/200") == [404, 403, 429]
        assert origin.requests == []


def test_a_limit_of_errors_in_a_dry_run_only_counts() -> None:
    errors = {"errors_per_source": {"limit": 1, "dry_run": True, **DAY}}
    with limited(errors) as (lb, _), client(lb) as peer:
        assert statuses(peer, "/404", "/404", "/200") == [404, 404, 200]
        assert lb.ask("listeners")[0]["dry_run"] == {"rejected:error_rate": 2}


def test_a_source_that_goes_on_after_its_errors_is_blocked_by_itself() -> None:
    errors = {"errors_per_source": {"limit": 3, **DAY}}
    rule = {"rejections": 4, "window": "1m", "duration": "10m", "refusal": "reject"}
    with (
        limited(errors, http=PROXY, auto_block=rule) as (lb, _),
        client(lb) as peer,
    ):
        scanner, other = of("203.0.113.9"), of("198.51.100.7")
        assert statuses(peer, *7 * ["/404"], fields=scanner) == [404] * 3 + [429] * 4
        until(lambda: lb.ask("blocks"), "the rule has seen it")
        assert [(row["source"], row["by"]) for row in lb.ask("blocks")] == [("203.0.113.9", "auto")]
        assert statuses(peer, "/200", fields=scanner) == [403]
        assert statuses(peer, "/200", fields=other) == [200]


def test_a_limit_of_errors_that_a_reload_changes_begins_anew() -> None:
    with limited({"errors_per_source": {"limit": 1, **DAY}}) as (lb, _), client(lb) as peer:
        assert statuses(peer, "/404", "/200") == [404, 429]
        assert lb.config
        lb.config["listeners"]["web"]["limits"] = {"errors_per_source": {"limit": 2, **DAY}}
        (lb.folder / "l4lb.toml").write_text(toml(lb.config))
        lb.admin("reload")
        assert statuses(peer, "/404", "/404", "/200") == [404, 404, 429]


# ---- requests with one value of a key ------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        ("header:X-User", ("/200", [("x-user", "a")]), ("/200", [("X-User", "b")])),
        ("cookie:sid", ("/200", [("Cookie", "a=1; sid=7")]), ("/200", [("Cookie", "sid=8")])),
        ("query:k", ("/200?k=a", []), ("/200?k=b", [])),
        ("path", ("/200?k=a", []), ("/201", [])),
        ("host", ("http://A.test/200", []), ("http://b.test/200", [])),
    ],
)
def test_requests_with_one_value_of_a_key_are_limited_over_all_workers(
    key: str, one: tuple[str, Fields], other: tuple[str, Fields]
) -> None:
    rate = {"key": key, "limit": 1, "burst": 6}
    with limited({"requests_per_key": rate}, workers=2) as (lb, _), ExitStack() as stack:
        peers = [stack.enter_context(client(lb)) for _ in range(3)]
        told = [peer.ask(one[0], fields=one[1]) for _ in range(2) for peer in peers]
        assert [one.status for one in told] == [200] * 6
        # A slow machine may earn a few more requests while it asks.
        more = (peers[i % 3].ask(one[0], fields=one[1]) for i in range(500))
        refused = next(one for one in more if one.status != 200)
        assert refused.status == 429
        assert int(refused.get("retry-after") or 0) >= 1
        assert peers[0].ask(other[0], fields=other[1]).status in (200, 201)


def test_requests_without_a_value_of_the_key_are_not_limited_by_it() -> None:
    rate = {"key": "header:Authorization", "limit": 1, "burst": 1}
    with limited({"requests_per_key": rate}) as (lb, _), client(lb) as peer:
        assert statuses(peer, *20 * ["/200"]) == [200] * 20
        assert statuses(peer, *20 * ["/200"], fields=[("Authorization", "")]) == [200] * 20


def test_a_route_limits_requests_by_a_key_of_its_own() -> None:
    rate = {"key": "query:account", "limit": 1, "burst": 2, "status": 503}
    route = {"path": "/200", "limits": {"requests_per_key": rate}, "pool": "web"}
    with limited({}, listener={"routes": [route]}) as (lb, _), client(lb) as peer:
        seen = statuses(peer, *6 * ["/200?account=1"])
        assert seen[:2] == [200, 200]
        assert 503 in seen[2:]
        assert statuses(peer, "/200?account=2", "/201?account=1") == [200, 201]


@pytest.mark.parametrize(
    ("limits", "wrong"),
    [
        ({"requests_per_key": {"limit": 5}}, "requests_per_key.key"),
        (
            {"requests_per_key": {"key": "source_ip", "limit": 5}},
            '"source_ip" is not one of "host"',
        ),
        ({"requests_per_key": {"key": "header:", "limit": 5}}, "has no name of a header field"),
        ({"errors_per_source": {"limit": 5, "statuses": ["40"]}}, '"40" is not a status'),
        ({"errors_per_source": {"limit": 5, "statuses": [302]}}, "must be at least 400, not 302"),
        ({"errors_per_source": {"limit": 5, "window": "10ms"}}, "must be at least 1s, not 10ms"),
    ],
)
def test_check_says_what_is_wrong_with_a_limit(
    limits: dict[str, Any], wrong: str, tmp_path: Path
) -> None:
    config = before(["127.0.0.1:1"], listener={"limits": limits}).config
    assert config
    file = tmp_path / "l4lb.toml"
    file.write_text(toml(config))
    done = run("check", "-c", str(file))
    assert done.returncode == 2
    assert wrong in done.stdout + done.stderr


def test_limits_of_requests_are_for_http_listeners_only(tmp_path: Path) -> None:
    config = before(["127.0.0.1:1"], listener={"limits": {"errors_per_source": 5}}).config
    assert config
    config["listeners"]["web"]["protocol"] = "tcp"
    file = tmp_path / "l4lb.toml"
    file.write_text(toml(config))
    done = run("check", "-c", str(file))
    assert done.returncode == 2
    assert "limits.errors_per_source: has no effect: a tcp listener" in done.stdout + done.stderr
