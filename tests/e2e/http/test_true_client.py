"""Whom a request is from: the client that a trusted proxy tells of, and nobody's invention."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ..harness import Balancer, until
from ..harness.http import Fields, Message, Peer, answer, before, client
from ..harness.origin import Origin

OURS = {"trusted": ["127.0.0.0/8", "10.0.0.0/8"]}
ONE, OTHER = "203.0.113.9", "198.51.100.7"


def of(*addresses: str) -> Fields:
    return [("X-Forwarded-For", ", ".join(addresses))]


@contextmanager
def service(
    path: Path | None = None, http: dict[str, Any] = OURS, **more: Any
) -> Iterator[tuple[Balancer, Peer]]:
    """A balancer, its log in `path`, and one connection to it."""
    process = {"log": {"access": str(path), "access_format": "json"}} if path else None
    with (
        Origin() as origin,
        before([origin.row], http=http, process=process, **more) as lb,
        client(lb) as peer,
    ):
        yield lb, peer


def logged(path: Path, count: int) -> list[dict[str, Any]]:
    """Waits for this many lines and returns them."""
    until(
        lambda: path.exists() and len(path.read_text().splitlines()) >= count,
        f"{count} lines of the log",
    )
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("rule", "fields", "wanted"),
    [
        ("append", of(ONE), ONE),
        ("replace", of(ONE), ONE),
        ("off", of(ONE), ONE),
        ("append", of(OTHER, ONE), ONE),
        ("append", of(OTHER, ONE, "10.1.2.3"), ONE),
        ("append", [*of(OTHER), *of(ONE, "10.1.2.3"), *of("10.9.9.9")], ONE),
        ("append", of("junk", ONE), ONE),
        ("append", of("10.1.1.1", "10.1.2.3"), "10.1.1.1"),
        ("append", of(f"{ONE}:4711"), f"{ONE}:4711"),
        ("append", of("2001:db8::1"), "2001:db8::1"),
        ("append", of("[2001:db8::1]:4711"), "[2001:db8::1]:4711"),
        ("append", [("Forwarded", f"for={ONE}")], None),
        ("append", of(ONE, "unknown"), None),
        ("append", of(ONE, *16 * ["10.1.2.3"]), "10.1.2.3"),
        ("append", [], None),
        ("rfc7239", [("Forwarded", f'for={OTHER}, for="{ONE}:4711";proto=https')], f"{ONE}:4711"),
        ("rfc7239", [("Forwarded", f'for="{OTHER}, for={ONE}')], ONE),
        ("rfc7239", [("Forwarded", "for=_hidden")], None),
        ("rfc7239", of(ONE), None),
    ],
)
def test_a_request_is_from_the_rightmost_address_that_is_not_trusted(
    tmp_path: Path, rule: str, fields: Fields, wanted: str | None
) -> None:
    path = tmp_path / "access.log"
    with service(path, OURS | {"forwarded": rule}) as (_, peer):
        assert peer.ask(fields=fields).status == 200
        own = "{}:{}".format(*peer.sock.getsockname())
        (line,) = logged(path, 1)
        assert (line["client"], line.get("peer")) == (wanted or own, own if wanted else None)


def test_what_a_client_says_that_is_not_trusted_has_no_effect_at_all(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    claims = [*of(ONE), ("Forwarded", f"for={ONE}"), ("X-Real-IP", ONE), ("X_Forwarded_For", ONE)]
    routes = [{"source": ONE, "respond": {"status": 418}}]
    listener = {
        "access": {"deny": [ONE]},
        "limits": {"requests_per_source": {"limit": 1, "burst": 2}},
        "routes": routes,
        "filter": {"rules": [{"name": "one", "source": ONE, "action": "deny"}]},
    }
    http = {"trusted": ["10.0.0.0/8"]}
    with service(path, http, listener=listener) as (_, peer):
        got = [peer.ask(fields=[*claims, *of(f"192.0.2.{i}")]).status for i in range(4)]
        assert got[:2] == [200, 200]
        assert 429 in got[2:]
        own = "{}:{}".format(*peer.sock.getsockname())
        lines = logged(path, 4)
        assert {(one["client"], one.get("peer")) for one in lines} == {(own, None)}
        assert {one["end"] for one in lines} == {"answered", "rejected:request_rate"}


def test_the_access_list_is_about_the_clients_that_a_trusted_proxy_speaks_for(
    tmp_path: Path,
) -> None:
    path = tmp_path / "access.log"
    asked = [of(ONE), of(OTHER), [], of(OTHER, ONE), of(ONE, OTHER)]
    with service(path, listener={"access": {"allow": ["203.0.113.0/24"]}}) as (_, peer):
        assert [peer.ask(fields=one).status for one in asked] == [200, 403, 403, 200, 403]
        ends = [(one["end"], one["client"].split(":")[0]) for one in logged(path, 5)]
        assert ends == [
            ("answered", ONE), ("rejected:denied", OTHER), ("rejected:denied", "127.0.0.1"),
            ("answered", ONE), ("rejected:denied", OTHER),
        ]  # fmt: skip


def test_an_access_list_in_a_dry_run_only_counts_requests() -> None:
    listener = {"access": {"deny": [ONE], "dry_run": True}}
    with service(listener=listener) as (lb, peer):
        assert [peer.ask(fields=of(one)).status for one in (ONE, OTHER, ONE)] == 3 * [200]
        assert lb.ask("listeners")[0]["dry_run"] == {"rejected:denied": 2}


def test_limits_of_a_source_count_the_clients_of_a_proxy_each_for_itself() -> None:
    listener = {
        "limits": {"requests_per_source": {"limit": 1, "burst": 2}},
        "filter": {
            "rules": [
                {"name": "login", "path": "/login", "action": "limit", "limit": 1, "burst": 1}
            ]
        },
    }
    with service(listener=listener) as (_, peer):
        for number in range(20):
            source = f"203.0.113.{number}"
            assert peer.ask(fields=of(source)).status == 200
            assert peer.ask(target="/login", fields=of("192.0.2.1", source)).status == 200
        spoofs = [peer.ask(fields=of(f"192.0.2.{i}", OTHER)).status for i in range(8)]
        assert spoofs[:2] == [200, 200]
        assert 429 in spoofs


def test_routes_and_rules_by_source_see_the_client() -> None:
    listener = {
        "routes": [{"source": "198.51.100.0/24", "respond": {"status": 418}}],
        "filter": {"rules": [{"name": "one", "source": ONE, "action": "deny", "status": 410}]},
    }
    with service(listener=listener) as (_, peer):
        asked = [of(ONE), of(OTHER), of("192.0.2.1"), []]
        assert [peer.ask(fields=fields).status for fields in asked] == [410, 418, 200, 200]


@pytest.mark.parametrize(
    ("http", "header", "client"),
    [
        (OURS, f"X-Forwarded-For: {OTHER}, {ONE}, 10.1.2.3", ONE),
        (OURS, "X-Forwarded-For: unknown", None),
        ({"trusted": ["10.0.0.0/8"]}, f"X-Forwarded-For: {ONE}", None),
        (OURS | {"forwarded": "rfc7239"}, f"Forwarded: for={ONE}", ONE),
    ],
)
def test_explain_sees_the_client_that_a_trusted_proxy_tells_of(
    http: dict[str, Any], header: str, client: str | None
) -> None:
    routes = [{"source": ONE, "respond": {"status": 418}}]
    with service(http=http, listener={"routes": routes}) as (lb, _):
        told = lb.admin("explain", "web", "--request", "GET http://a.test/", "--header", header)
        assert told.get("status") == (418 if client else None)
        assert (told["client"], told.get("peer")) == (
            client or "127.0.0.1", "127.0.0.1" if client else None,
        )  # fmt: skip


def test_a_masked_log_masks_the_proxy_too(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = {"access": str(path), "access_format": "json", "mask_client": [16, 48]}
    with (
        Origin() as origin,
        before([origin.row], http=OURS, process={"log": log}) as lb,
        client(lb) as peer,
    ):
        assert peer.ask(fields=of(ONE)).status == 200
        (line,) = logged(path, 1)
        assert line["client"] == "203.0.0.0"
        assert line["peer"].startswith("127.0.0.0:")


def test_a_block_holds_for_the_client_and_not_for_the_proxy(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    with service(path) as (lb, peer):
        lb.admin("block", ONE)
        assert [peer.ask(fields=of(one)).status for one in (ONE, OTHER, ONE)] == [403, 200, 403]
        ends = [one["end"] for one in logged(path, 3)]
        assert ends == ["rejected:blocked", "answered", "rejected:blocked"]
        lb.admin("unblock", ONE)
        assert peer.ask(fields=of(ONE)).status == 200


def test_the_rule_for_sources_blocks_the_client_and_not_the_proxy() -> None:
    rule = {"rejections": 5, "window": "30s", "duration": "1m"}
    listener = {"filter": {"rules": [{"name": "x", "path": "/x", "action": "deny"}]}}
    with service(listener=listener, limits={"auto_block": rule}, workers=2) as (lb, peer):
        for _ in range(6):
            assert peer.ask(target="/x", fields=of(ONE)).status == 403
        until(lambda: lb.ask("blocks"), "the rule has seen it")
        assert [(row["source"], row["by"]) for row in lb.ask("blocks")] == [(ONE, "auto")]
        assert [peer.ask(fields=of(one)).status for one in (ONE, OTHER)] == [403, 200]


def backend(answer: Message) -> str:
    return answer.get("x-from") or ""


def test_hashes_and_sticky_entries_are_of_the_client() -> None:
    pools: list[dict[str, Any]] = [
        {"balance": "ip_hash"},
        {"balance": "round_robin", "sticky": {"key": "source_ip"}},
    ]
    for pool in pools:
        with (
            Origin(name="a") as a,
            Origin(name="b") as b,
            before([a.row, b.row], http=OURS, **pool) as lb,
            client(lb) as peer,
        ):
            sources = [f"203.0.113.{i}" for i in range(1, 33)]
            first = [backend(peer.ask(fields=of(one))) for one in sources]
            assert set(first) == {"a", "b"}
            again = [backend(peer.ask(fields=of("192.0.2.1", one))) for one in sources]
            assert again == first


def test_admin_requests_shows_the_client_and_admin_sessions_the_proxy() -> None:
    seen: list[Any] = []
    with Origin() as origin, before([origin.row], http=OURS) as lb, client(lb) as peer:

        def look(_: object) -> bytes:
            seen.append((lb.ask("requests")[0]["client"], lb.ask("sessions")[0]["client"]))
            return answer(b"")

        origin.answering = look
        assert peer.ask(fields=of(ONE)).status == 200
        assert seen == [(ONE, "{}:{}".format(*peer.sock.getsockname()))]


def test_limits_of_connections_count_the_proxy() -> None:
    listener = {"limits": {"connections_per_source": 1}}
    with service(listener=listener) as (lb, peer):
        assert [peer.ask(fields=of(one)).status for one in (ONE, OTHER)] == [200, 200]
        with pytest.raises((ConnectionError, AssertionError)), client(lb) as second:
            second.ask(fields=of("192.0.2.77"))
