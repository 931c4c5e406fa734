"""Compiled routes, looked up by the workers' code, against a naive list of the same routes."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.http import routes
from l4lb.http.routes import Answer, Condition, Its, Limit, Redirect, Route, Rule
from l4lb.native import http as native
from l4lb.native.requests import Chosen, Request
from l4lb.native.table import Table


def look_up(its: Sequence[Route], request: Request) -> Chosen | None:
    found, (at,) = routes.compiled([routes.Its([0], its)], 1)
    return native.choose(found, at, request)


def request(
    path: str = "/", host: str = "a.example", method: str = "GET", **more: object
) -> Request:
    return Request(method, "http", host, path.encode(), **more)  # type: ignore[arg-type]


# ---- the naive twin ------------------------------------------------------------------------------


def naive(its: Sequence[Route], request: Request) -> int | None:
    left = request.random
    for number, route in enumerate(its):
        if route.hosts and not any(name_holds(one, request.host) for one in route.hosts):
            continue
        if not all(holds(one, request) for one in route.conditions):
            continue
        if route.percent is None or route.percent >= 100:
            return number
        share = int(route.percent / 100 * 2**32)
        if left < share:
            return number
        left -= share
    return None


def name_holds(wanted: str, name: str) -> bool:
    if wanted.startswith("*."):
        return name.endswith(wanted[1:]) and name != wanted[1:]
    return bool(name) and wanted in ("*", name)


def like(pattern: str, value: str) -> bool:
    return bool(re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), value, re.DOTALL))


def holds(condition: Condition, request: Request) -> bool:
    kind, items, name = condition
    path = request.path.decode()
    if kind in ("header", "cookie", "query"):
        values = values_of(kind, name, request)
        return any(like(one, value) for value in values for one in items) or (
            not values and "" in items
        )
    numbers = {
        "query_length": len(request.query or b""),
        "body_over": request.body,
        "header_count": len(request.fields),
    }
    if kind in numbers:
        return numbers[kind] > int(items[0])
    if kind == "other_method":
        return request.method not in items
    tests = {
        "scheme": lambda one: one == request.scheme,
        "method": lambda one: one == request.method,
        "path": lambda one: one == path,
        "path_prefix": path.startswith,
        "path_suffix": path.endswith,
        "path_regex": lambda one: bool(re.search(one, path)),
        "sni": lambda one: name_holds(one, request.sni),
        "source": lambda one: within(request.source, one),
    }
    return any(map(tests[kind], items))


def within(source: str, network: str) -> bool:
    return bool(source) and ipaddress.ip_address(source) in ipaddress.ip_network(network)


def values_of(kind: str, name: str, request: Request) -> list[str]:
    if kind == "query":
        pairs = [one.partition("=") for one in (request.query or b"").decode().split("&") if one]
        return [unquote_plus(value) for key, _, value in pairs if unquote_plus(key) == name]
    fields = [(key.decode().lower(), value.decode()) for key, value in request.fields]
    if kind == "header":
        return [value for key, value in fields if key == name.lower()]
    cookies = [one.partition("=") for key, text in fields if key == "cookie"
               for one in text.split(";")]  # fmt: skip
    return [value.strip(" \t") for key, _, value in cookies if key.strip(" \t") == name]


# ---- comparison ----------------------------------------------------------------------------------

HOSTS = ["a.example", "b.a.example", "example", "x.test", "[::1]"]
NAMES = [*HOSTS, "*", "*.example", "*.a.example", "*.test"]
PATTERNS = ["", "*", "1", "1*", "*2", "1*2", "*1*2*", "12", "ä"]
VALUES = ["", "1", "2", "12", "1x2", "121", "x", "ä"]


def some(texts: Sequence[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(texts), min_size=1, max_size=3).map(tuple)


def condition(kind: str, texts: Sequence[str], name: str = "") -> st.SearchStrategy[Condition]:
    return some(texts).map(lambda items: Condition(kind, items, name))


conditions = st.one_of(
    condition("scheme", ["http", "https"]),
    condition("method", ["GET", "POST"]),
    condition("other_method", ["GET", "POST", "PUT"]),
    condition("query_length", ["0", "3", "4294967296"]),
    condition("header_count", ["0", "1", "2"]),
    condition("body_over", ["0", "7", "4294967296"]),
    condition("path", ["/", "/a", "/a/b.css"]),
    condition("path_prefix", ["/", "/a", "/a/", "/b"]),
    condition("path_suffix", [".css", "b", "/"]),
    condition("path_regex", ["^/a", "css$", "/[ab]/?$", "b[.]|^/$"]),
    condition("sni", NAMES[:4] + NAMES[5:]),
    condition("source", ["10.0.0.0/8", "10.1.0.0/16", "::/0", "2001:db8::/32", "0.0.0.0/0"]),
    condition("header", PATTERNS, "X-Version"),
    condition("cookie", PATTERNS, "c"),
    condition("query", PATTERNS, "q r"),
)
some_routes = st.lists(
    st.tuples(
        st.integers(0, 9),
        st.integers(0, 9),
        st.lists(st.sampled_from(NAMES), max_size=2).map(tuple),
        st.lists(conditions, max_size=2).map(tuple),
        st.sampled_from([None, None, 10.0, 50.0, 100.0]),
    ).map(lambda parts: Route(*parts)),
    max_size=8,
)
fields = st.lists(
    st.one_of(
        st.sampled_from(VALUES).map(lambda v: (b"x-VERSION", v.encode())),
        st.lists(st.tuples(st.sampled_from(["c", "d", " c"]), st.sampled_from(VALUES)), max_size=3)
        .map(lambda pairs: (b"Cookie", "; ".join(f"{k}={v}" for k, v in pairs).encode())),
    ),
    max_size=3,
)  # fmt: skip
queries = st.lists(
    st.tuples(st.sampled_from(["q+r", "q%20r", "x", "q"]), st.sampled_from(["1", "1%32", "x", ""])),
    max_size=3,
).map(lambda pairs: "&".join(f"{k}={v}" for k, v in pairs).encode())
requests = st.builds(
    Request,
    method=st.sampled_from(["GET", "POST"]),
    scheme=st.sampled_from(["http", "https"]),
    host=st.sampled_from(HOSTS),
    path=st.sampled_from([b"/", b"/a", b"/a/", b"/a/b.css", b"/b"]),
    query=st.none() | queries,
    fields=fields.map(tuple),
    sni=st.sampled_from(["", *HOSTS[:4]]),
    source=st.sampled_from(["", "10.1.2.3", "10.2.0.1", "192.0.2.1", "2001:db8::1", "::1"]),
    random=st.integers(0, 2**32 - 1),
    body=st.sampled_from([0, 7, 8, 2**33]),
)


@given(some_routes, st.lists(requests, min_size=1, max_size=5))
def test_a_request_takes_the_route_that_a_naive_list_finds(
    its: list[Route], asked: list[Request]
) -> None:
    for one in asked:
        wanted, found = naive(its, one), look_up(its, one)
        assert (found and found.number) == wanted or (found is None and wanted is None)
        assert found is None or (found.pool, found.slot) == (its[found.number].pool, found.slot)


def test_many_hosts_are_each_found() -> None:
    its = [Route(n, n, (f"host{n}.example",)) for n in range(2000)]
    found, (at,) = routes.compiled([routes.Its([0], its)], 1)
    for n in range(0, 2000, 7):
        chosen = native.choose(found, at, request(host=f"host{n}.example"))
        assert chosen is not None
        assert chosen.number == n
    assert native.choose(found, at, request(host="host2000.example")) is None


def test_a_route_says_what_happens_with_its_requests() -> None:
    route = Route(
        3,
        7,
        conditions=(Condition("path_prefix", ("/api/",)),),
        timeout_ms=60_000,
        target="/v1/{rest}{query}",
        set_request={"X-A": "1", "X-Empty": ""},
        remove_request=("Cookie",),
        set_answer={"X-B": "2"},
        remove_answer=("Server", "Via"),
        requests=Limit(5, 10, 429, True),
    )
    found = look_up([route], request("/api/users", query=b"a=b"))
    assert found == Chosen(
        0, 7, "pool", 3, 0, 60_000, b"", b"/v1/users?a=b", b"", b"",
        {b"X-A": b"1", b"X-Empty": b""}, (b"Cookie",), {b"X-B": b"2"}, (b"Server", b"Via"),
        (5, 10, 429, True), None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("location", "path", "query", "wanted"),
    [
        ("https://{host}{path}{query}", "/old/a", b"b", b"https://a.example/old/a?b"),
        ("/new/{rest}", "/old/a/b", b"c", b"/new/a/b"),
        ("{scheme}://www.{host}/", "/old/", None, b"http://www.a.example/"),
        ("/{rest}", "/old//evil.example", None, b"/evil.example"),
        ("{path}", "//evil.example", None, b"/evil.example"),
    ],
)
def test_a_redirect_names_parts_of_the_request_and_no_other_host(
    location: str, path: str, query: bytes | None, wanted: bytes
) -> None:
    conditions = (Condition("path_prefix", ("/old/", "//")),) if "rest" in location else ()
    found = look_up([Route(Redirect(308, location), 0, conditions=conditions)],
                    request(path, query=query))  # fmt: skip
    assert found is not None
    assert (found.action, found.status, found.location) == ("redirect", 308, wanted)


def test_an_answer_of_our_own_has_its_type_and_body() -> None:
    found = look_up([Route(Answer(200, "text/plain", b"hello\0"), 0)], request())
    assert found is not None
    assert (found.action, found.status) == ("respond", 200)
    assert (found.content_type, found.body) == (b"text/plain", b"hello\0")


def test_the_compiler_and_the_workers_agree_about_words_and_format() -> None:
    assert routes.FORMAT == native.ROUTES_FORMAT
    assert len(routes.KINDS) == native.ROUTE_KINDS
    assert routes.ACTIONS == native.ACTIONS


def test_routes_in_force_are_those_published_last() -> None:
    table = Table((1, 3, 1, 1, 1))
    assert native.choose_in_force(table, 0, request()) is None
    for pool in (1, 2, 3):
        found, ats = routes.compiled([Its([0, 2], [Route(pool, 40 + pool)]), Its([1], [])], 3)
        native.publish_routes(table, found, ats)
        for row in (0, 2):
            chosen = native.choose_in_force(table, row, request())
            assert chosen is not None
            assert chosen.pool == pool
            assert native.slots(table, row) == [40 + pool]
        assert native.choose_in_force(table, 1, request()) is None
        assert native.slots(table, 1) == []
    assert native.hits(table, 43) == 0


def test_routes_that_are_too_large_are_refused_and_change_nothing() -> None:
    table = Table((1, 1, 1, 1, 1))
    with pytest.raises(ValueError, match="more than"):
        native.publish_routes(table, bytes(native.ROUTES_BYTES + 1), [8])
    assert native.slots(table, 0) == []


def test_rules_are_met_in_their_order_and_routes_keep_their_numbers() -> None:
    table = Table((1, 2, 1, 1, 1))
    rules = [
        Route(Rule("log", 0), 10, name="all", conditions=(Condition("path_prefix", ("/",)),)),
        Route(Rule("deny", 403), 11, ("*.example",), name="host"),
        Route(Rule("tarpit", 0), 12, conditions=(Condition("path", ("/x",)),), name="é"),
    ]
    found, ats = routes.compiled([Its([0], [Route(5, 1)], rules), Its([1], [], rules[2:])], 2)
    native.publish_routes(table, found, ats)

    def met(row: int, path: str, host: str) -> list[tuple[str, str, int]]:
        asked = request(path, host)
        return [(one.name, one.action, one.slot) for one in native.rules_met(table, row, asked)]

    assert met(0, "/x", "b.example") == [
        ("all", "log", 10),
        ("host", "deny", 11),
        ("é", "tarpit", 12),
    ]
    assert met(0, "/y", "other") == [("all", "log", 10)]
    assert met(1, "/y", "b.example") == []
    assert native.rules(table, 0) == [("all", 10), ("host", 11), ("é", 12)]
    assert (native.slots(table, 0), native.slots(table, 1)) == ([1], [])
    chosen = native.choose_in_force(table, 0, request("/x"))
    assert chosen is not None
    assert (chosen.number, chosen.pool) == (0, 5)
    assert native.choose_in_force(table, 1, request("/x")) is None
