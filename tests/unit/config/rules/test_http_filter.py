"""Filters of HTTP listeners: what is accepted, and what is refused and why."""

from __future__ import annotations

from typing import Any

import pytest

from l4lb.config.build import build
from l4lb.config.origin import Origin
from l4lb.errors import ConfigError

RULE = {"name": "a", "path": "/x", "action": "deny"}


def data_of(filter_: dict[str, Any], **more: Any) -> dict[str, Any]:
    listener = {"bind": ["127.0.0.1:1"], "pool": "a", "protocol": "http", "filter": filter_}
    return {
        "listeners": {"web": {**listener, **more}},
        "pools": {"a": {"backends": ["127.0.0.1:2"]}},
    }


def faults(*rules: dict[str, Any], **more: Any) -> list[str]:
    """Returns the messages about a filter with these rules, with their places."""
    try:
        build(data_of({"rules": list(rules)}, **more), Origin())
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


def test_a_filter_is_kept_as_requests_are_compared_with_it() -> None:
    rules = [{"name": "a", "user_agent": "", "query_length": "2KiB", "action": "log"}]
    data = data_of({"methods": ["GET", "HEAD"], "rules": rules})
    found = build(data, Origin()).listeners["web"].filter
    assert found is not None
    assert found.methods == ("GET", "HEAD")
    assert (found.rules[0].user_agent, found.rules[0].query_length) == (("",), 2048)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"name": "a", "action": "deny"}, "has no condition"),
        ({"path": "/x", "action": "deny"}, "name"),
        ({**RULE, "action": "limit"}, "limits without a limit"),
        ({**RULE, "limit": 5}, 'has a limit, and the action "deny"'),
        ({**RULE, "action": "tarpit", "status": 404}, "has a status"),
        ({**RULE, "action": "log", "dry_run": True}, "counts only"),
        ({**RULE, "sni": "a.example"}, "this listener has no tls"),
        ({**RULE, "name": "methods"}, "is the name of what `methods` refuses"),
        ({**RULE, "percent": 5}, "percent"),
        ({**RULE, "path": "x"}, "is not a path"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(rule: dict[str, Any], message: str) -> None:
    (fault,) = faults(rule)
    assert "listeners.web.filter.rules[0]" in fault
    assert message in fault


def test_two_rules_of_one_name_are_refused() -> None:
    (fault,) = faults(RULE, RULE)
    assert "filter.rules[1].name: another rule of this listener is named" in fault


def test_a_listener_of_another_protocol_has_no_filter() -> None:
    (fault,) = faults(RULE, protocol="tcp")
    assert "listeners.web.filter: is for http listeners only" in fault


def test_rules_count_among_the_routes_that_there_is_room_for() -> None:
    many = [{**RULE, "name": f"r{number}"} for number in range(4097)]
    (fault,) = faults(*many)
    assert "have 4097 HTTP routes and filter rules, more than 4096" in fault
