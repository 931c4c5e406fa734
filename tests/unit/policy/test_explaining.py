"""What operators are told of a forward proxy: where a client may go, and what says so."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from l4lb.config.build import build
from l4lb.config.origin import Origin
from l4lb.errors import AdminError
from l4lb.policy.compiled import rules_of, spans_of
from l4lb.policy.explaining import Target, explain, read_target
from l4lb.policy.files import Books, list_of
from l4lb.policy.judge import Judge, Terms
from l4lb.policy.names import Names, Settings


def told(
    given: dict[str, Any], url: str, lists: dict[str, Any] | None = None, **args: Any
) -> dict[str, Any]:
    listener = {"bind": ["127.0.0.1:3128"], "protocol": "http", "forward": "office"}
    data: dict[str, Any] = {"listeners": {"p": listener}, "forward": {"office": given}}
    if lists:
        data["lists"] = lists
    config = build(data, Origin())
    forward = config.forward["office"]
    known = {name: list_of(name, one) for name, one in config.lists.items()}
    for one in known.values():
        one.look()
    books = Books(None, known)
    terms = Terms(
        "office",
        rules_of(forward.rules, forward.otherwise),
        spans_of(forward.ports),
        spans_of(forward.connect_ports),
        known_only=forward.auth is not None and not forward.rules,
    )
    with ThreadPoolExecutor(1) as threads:
        judge = Judge(terms, Names(Settings(())), books, lambda: None, dict, threads)
        return asyncio.run(explain(judge, books, forward, {"url": url, **args}))


def test_the_three_ways_of_clients_are_told_apart() -> None:
    assert read_target("http://A.example/x?y") == Target("a.example", 80, "GET", "/x?y")
    assert read_target("https://a.example/x") == Target("a.example", 443, "CONNECT", None)
    assert read_target("a.example:22") == Target("a.example", 22, "", None)
    assert read_target("https://[2001:db8::1]:8443").port == 8443
    for wrong in ("a.example", "ftp://a.example/", "http://", "http://u@a.example/", "a:x"):
        with pytest.raises(AdminError, match="is no URL"):
            read_target(wrong)


def test_the_list_and_its_line_are_told(tmp_path: Path) -> None:
    names = tmp_path / "ads"
    names.write_text("one.example\nads.example\n")
    rules = [{"name": "ads", "list": "ads", "action": "deny"}]
    found = told({"rules": rules}, "https://www.ads.example/", {"ads": {"files": str(names)}})
    assert (found["action"], found["rule"], found["list"]) == ("deny", "ads", "ads")
    assert found["line"] == f"{names}:2"


def test_ports_and_private_addresses_decide_after_the_rules() -> None:
    assert told({}, "https://192.0.2.1:25/")["rule"] == "ports"
    inside = told({}, "https://10.0.0.1/")
    assert (inside["action"], inside["rule"]) == ("deny", "private")
    assert inside["private"] == inside["addresses"] == ["10.0.0.1"]
    translated = told({}, "https://[64:ff9b::a00:1]/")  # 10.0.0.1, as a gateway of NAT64 has it
    assert translated["private"] == ["64:ff9b::a00:1"]
    assert told({"allow_private": ["10.0.0.0/8"]}, "https://10.0.0.1/")["action"] == "allow"
    assert told({"private": "allow"}, "https://10.0.0.1/")["action"] == "allow"
    assert told({}, "https://8.8.8.8/")["action"] == "allow"


def test_a_rule_about_users_asks_for_one() -> None:
    given = {
        "auth": {"htpasswd": "/etc/users"},
        "rules": [{"name": "known", "user": "*", "action": "allow"}],
    }
    assert told(given, "https://8.8.8.8/")["action"] == "auth"
    assert told(given, "https://8.8.8.8/", user="alice")["action"] == "allow"
    assert told({"auth": given["auth"]}, "https://8.8.8.8/")["action"] == "auth"


def test_a_source_that_is_no_address_is_refused() -> None:
    with pytest.raises(AdminError, match="x is no IP address"):
        told({}, "https://8.8.8.8/", **{"from": "x"})
