"""Routes of HTTP listeners: what is accepted, what is refused and why, what is swallowed."""

from __future__ import annotations

from typing import Any

import pytest

from l4lb.config.build import build
from l4lb.config.origin import Origin
from l4lb.config.rules import checks
from l4lb.config.tables.admission import Route
from l4lb.errors import ConfigError


def data_of(*routes: dict[str, Any], protocol: str = "http", **more: Any) -> dict[str, Any]:
    listener = {"bind": ["127.0.0.1:1"], "pool": "a", "protocol": protocol}
    return {
        "listeners": {"web": {**listener, "routes": list(routes), **more}},
        "pools": {"a": {"backends": ["127.0.0.1:2"]}, "b": {"backends": ["127.0.0.1:3"]}},
    }


def route_of(**keys: Any) -> Route:
    data = data_of({"pool": "b", **keys} if {"redirect", "respond"}.isdisjoint(keys) else keys)
    return build(data, Origin()).listeners["web"].routes[0]


def faults(*routes: dict[str, Any], **more: Any) -> list[str]:
    """Returns the messages about a configuration with these routes, with their places."""
    try:
        build(data_of(*routes, **more), Origin())
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


def advice(*routes: dict[str, Any]) -> list[str]:
    found = checks.warnings(data_of(*routes))
    return [f"{one.path[3]}: {one.message}" for one in found if "never" in one.message]


def test_conditions_are_kept_as_requests_are_compared_with_them() -> None:
    route = route_of(
        host=["Shop.Example.", "*.EXAMPLE", "[2001:DB8::0:1]"],
        path="/a b/%7euser/ä",
        path_prefix=["/x|y/"],
        path_suffix=".CSS",
        method=["GET", "PURGE"],
        header={"X-Version": "2*", "Accept": ["a", ""]},
        query={"a b": "*"},
    )
    assert route.host == ("shop.example", "*.example", "[2001:db8::1]")
    assert route.path == ("/a%20b/~user/%C3%A4",)
    assert (route.path_prefix, route.path_suffix) == (("/x%7Cy/",), (".CSS",))
    assert route.header == {"X-Version": ("2*",), "Accept": ("a", "")}
    assert route.query == {"a b": ("*",)}


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"host": "a.example:80"}, "has no port"),
        ({"host": "a b"}, "is not a server name"),
        ({"path": "login"}, 'begins with "/"'),
        ({"path": "/a?b=c"}, "use `query`"),
        ({"path": "/a/../b"}, "are resolved"),
        ({"path": "/a/%2e%2e/b"}, "are resolved"),
        ({"path_prefix": "/a%2fb"}, "%2F"),
        ({"path_suffix": "%zz"}, "%25"),
        ({"path_regex": "(a"}, "without its )"),
        ({"path_regex": r"\b"}, "not supported"),
        ({"method": "get"}, '"GET"'),
        ({"method": "G T"}, "not an HTTP method"),
        ({"header": {"X A": "b"}}, "not a name"),
        ({"header": {}}, "must not be empty"),
        ({"header": {"A": "1", "a": "2"}}, "twice"),
        ({"header": {"A": "1\n2"}}, "can be printed"),
        ({"path": "/", "rewrite_prefix": "/"}, "no path_prefix"),
        ({"path_prefix": "/a", "rewrite_prefix": "b"}, "beginning of a path"),
        ({"path_prefix": "/a", "rewrite_prefix": "/{rest}"}, "beginning of a path"),
        ({"path": "/", "status": 301}, "no redirect"),
        ({"path": "/", "redirect": "/a", "respond": {}}, "redirects and responds"),
        ({"path": "/", "redirect": "/a", "status": 200}, "301, 302"),
        ({"path": "/", "redirect": "//evil.example"}, "without a scheme"),
        ({"path": "/", "redirect": "/{rest}"}, "no path_prefix"),
        ({"path": "/", "redirect": "/{user}"}, "{scheme}, {host}"),
        ({"path": "/", "redirect": "/{"}, "%7B"),
        ({"path": "/", "redirect": "ftp://a/"}, "is not a location"),
        ({"path": "/", "redirect": "/a\r\nSet-Cookie: b"}, "no URL has"),
        ({"path": "/", "redirect": "/a b"}, "no URL has"),
        ({"path": "/", "redirect": "/a", "timeout": "1s"}, "sends no request"),
        ({"path": "/", "redirect": "/a", "pool": "b"}, "an answer of its own"),
        ({"path": "/", "respond": {"body": "a", "file": "/b"}}, "two bodies"),
        ({"path": "/", "respond": {"body": "a", "status": 204}}, "has no body"),
        ({"path": "/", "respond": {"status": 100}}, "at least 200"),
        ({"path": "/", "respond": {"content_type": "text"}}, "media type"),
        ({"path": "/", "respond": {"content_type": "text/a\r\nb: c"}}, "value of a header"),
        ({"path": "/", "set_request_headers": {"A": "b\r\nC: d"}}, "value of a header"),
        ({"path": "/", "set_response_headers": {"A": " b"}}, "value of a header"),
        ({"path": "/", "set_response_headers": {"A:": "b"}}, "name of a header field"),
        ({"path": "/", "set_request_headers": {"Content-Length": "1"}}, "l4lb writes it"),
        ({"path": "/", "remove_response_headers": ["Connection"]}, "l4lb writes it"),
        (
            {"path": "/", "set_request_headers": {"A": "b"}, "remove_request_headers": "a"},
            "sets and removes",
        ),
        ({"path": "/", "limits": {"requests": 0}}, "at least 1"),
        ({"sni": "a.example"}, "has no tls"),
        ({"alpn": "h2"}, "tcp listeners only"),
        ({"name": "x"}, "has no condition"),
    ],
)
def test_a_route_that_could_not_do_what_it_says_is_refused(keys: dict[str, Any], told: str) -> None:
    keys = {"pool": "b", **keys} if {"redirect", "respond"}.isdisjoint(keys) else keys
    found = faults(keys)
    assert any(told in one for one in found), found
    assert all("routes[0]" in one for one in found), found


def test_every_fault_is_told_at_once() -> None:
    found = faults(
        {"path": "a", "pool": "b"},
        {"host": "a:1", "pool": "b"},
        {"path": "/", "pool": "nobody"},
        {"path": "/"},
    )
    assert sorted(one.split("routes[")[1][0] for one in found) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_listener_without_requests_is_told_what_it_has_instead(protocol: str) -> None:
    found = faults({"host": "a.example", "pool": "b"}, protocol=protocol)
    assert len(found) == 1
    assert "http listeners only" in found[0]
    assert "sni" in found[0]
    (other,) = faults({"path": "/", "pool": "b"}, protocol=protocol)
    assert 'protocol = "http"' in other


def test_names_of_routes_are_unique_in_their_listener() -> None:
    (found,) = faults(
        {"name": "x", "path": "/a", "pool": "b"}, {"name": "x", "path": "/b", "pool": "b"}
    )
    assert "another route of this listener" in found


COVERED = [
    ({"path_prefix": "/"}, {"path": "/login"}),
    ({"path_prefix": "/"}, {"host": "a.example"}),
    ({"path_prefix": ["/a", "/b"]}, {"path_prefix": "/a/b"}),
    ({"path_suffix": ".css"}, {"path_suffix": [".min.css"]}),
    ({"host": "*.example"}, {"host": ["a.example", "*.b.example"], "path": "/"}),
    ({"host": "*"}, {"path": "/"}),
    ({"method": ["GET", "HEAD"]}, {"method": "GET", "path": "/"}),
    ({"header": {"A": "*"}}, {"header": {"A": "1", "B": "2"}}),
    ({"percent": 100}, {"path": "/"}),
    ({"host": "a.example", "path_prefix": "/a"}, {"host": "a.example", "path": "/a/b"}),
]
FREE = [
    ({"path": "/login"}, {"path_prefix": "/"}),
    ({"host": "*.example"}, {"host": "example"}),
    ({"host": "a.example"}, {"path": "/"}),
    ({"method": "GET"}, {"path": "/"}),
    ({"header": {"A": "*"}}, {"header": {"A": ""}}),
    ({"header": {"A": "1"}}, {"header": {"A": "1*"}}),
    ({"percent": 50}, {"path": "/"}),
    ({"host": "a.example", "path_prefix": "/a"}, {"path": "/a/b"}),
    ({"path_suffix": ".css"}, {"path_prefix": "/a.css"}),
]


@pytest.mark.parametrize(("earlier", "later"), COVERED)
def test_a_route_that_an_earlier_one_swallows_is_advised(
    earlier: dict[str, Any], later: dict[str, Any]
) -> None:
    (found,) = advice({**earlier, "pool": "a"}, {**later, "pool": "b"})
    assert found == "1: is never reached: listeners.web.routes[0] takes all of its requests"


@pytest.mark.parametrize(("earlier", "later"), FREE)
def test_a_route_that_requests_can_reach_is_not(
    earlier: dict[str, Any], later: dict[str, Any]
) -> None:
    assert advice({**earlier, "pool": "a"}, {**later, "pool": "b"}) == []
