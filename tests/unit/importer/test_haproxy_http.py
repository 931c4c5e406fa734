"""haproxy.cfg with `mode http`: requests get the same backends, answers and fields as in HAProxy;
lines that routes cannot express are named."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.config.values.http import OWN_FIELDS
from l4lb.importer import request_keys
from l4lb.importer.draft import Rank
from tests.unit.importer.made import Made, of_haproxy

BACKENDS = """
backend one
  server s 10.0.0.1:80
backend two
  server s 10.0.0.2:80
"""


def web(lines: str, backends: str = BACKENDS) -> Made:
    return of_haproxy(
        "defaults\n  mode http\n  timeout client 30s\n  timeout server 40s\n"
        f"frontend web\n  bind 127.0.0.1:80\n{lines}\n  default_backend one\n{backends}"
    )


def routes(made: Made) -> list[dict[str, Any]]:
    return [dict(one) for one in made.draft.listeners["web"].get("routes", [])]


def only(lines: str) -> dict[str, Any]:
    """Returns the only route of these lines."""
    made = web(lines)
    (one,) = routes(made)
    assert not made.draft.grave, made.left
    return one


# ---- conditions ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("test", "when"),
    [
        ("path /a", {"path": "/a"}),
        ("path_beg /a /b", {"path_prefix": ["/a", "/b"]}),
        ("path -m beg /a", {"path_prefix": "/a"}),
        ("path_end .png", {"path_suffix": ".png"}),
        ("path_end -i .png", {"path_regex": r"(?i)\.png$"}),
        ("path_sub /x.y/", {"path_regex": r"/x\.y/"}),
        ("path_dir admin", {"path_regex": "(^|/)admin(/|$)"}),
        ("path_reg ^/user/[0-9]+$", {"path_regex": "^/user/[0-9]+$"}),
        ("hdr(host) -i Shop.Example", {"host": "shop.example"}),
        ("hdr_end(host) .shop.example", {"host": "*.shop.example"}),
        ("hdr_dom(host) shop.example", {"host": ["shop.example", "*.shop.example"]}),
        (r"hdr_reg(host) ^(www\.)?a\.b$", {"host": ["a.b", "www.a.b"]}),
        ("req.hdr(X-V) 2 3", {"header": {"X-V": ["2", "3"]}}),
        ("hdr_beg(X-V) 2", {"header": {"X-V": ["2*"]}}),
        ("hdr(X-V) -m found", {"header": {"X-V": ["*"]}}),
        ("req.cook(beta) 1", {"cookie": {"beta": ["1"]}}),
        ("url_param(v) 1", {"query": {"v": ["1"]}}),
        ("method POST PUT", {"method": ["POST", "PUT"]}),
        ("src 10.0.0.0/8", {"source": "10.0.0.0/8"}),
        ("ssl_fc", {"scheme": "https"}),
        ("rand(100) lt 5", {"percent": 5}),
    ],
)
def test_conditions_are_those_of_routes(test: str, when: Mapping[str, Any]) -> None:
    assert only(f"use_backend two if {{ {test} }}") == {**when, "pool": "two"}


@pytest.mark.parametrize(
    ("lines", "rank"),
    [
        ("http-request deny if { nbsrv(one) lt 1 }", Rank.OPEN),
        ("http-request deny if { hdr(user-agent) -i -m sub curl }", Rank.OPEN),
        ("http-request deny if { path_reg ^/(a }", Rank.OPEN),
        ("http-request deny if { path // }", Rank.OPEN),
        ("http-request deny if { src -f /nowhere }", Rank.OPEN),
        ("http-request deny if { sc_http_req_rate(0) gt 10 }", Rank.OPEN),
        ("http-request auth realm x", Rank.OPEN),
        ("http-request lua.check", Rank.OPEN),
        ("http-request del-header ^X- -m reg", Rank.OPEN),
        ("http-response deny if { status 500 }", Rank.OPEN),
        ("reqdel ^X-Secret", Rank.OPEN),
        ("redirect scheme https if { nbsrv lt 1 }", Rank.CLEAR),
        ("use_backend two if { url_len gt 5 }", Rank.MISSING),
        ("use_backend %[req.hdr(host)]", Rank.MISSING),
        ("http-request set-path /x", Rank.MISSING),
        ("errorfile 503 /x.http", Rank.DIFFERENT),
        ("compression algo gzip", Rank.DIFFERENT),
    ],
)
def test_lines_that_routes_cannot_express_are_named_with_their_rank(lines: str, rank: Rank) -> None:
    made = web(lines)
    assert made.rank(lines.split(" if ")[0]) is rank
    assert routes(made) == []


# ---- rules ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "keys"),
    [
        ("http-request deny", {"respond": {"status": 403}}),
        ("http-request deny deny_status 429", {"respond": {"status": 429}}),
        (
            "http-request return status 200 content-type text/html string hi",
            {"respond": {"status": 200, "content_type": "text/html", "body": "hi"}},
        ),
        (
            "http-request redirect scheme https code 301",
            {"redirect": "https://{host}{path}{query}", "status": 301},
        ),
        ("redirect prefix https://a.b", {"redirect": "https://a.b{path}{query}", "status": 302}),
        (
            "redirect location https://%[req.hdr(host)]%[capture.req.uri]",
            {"redirect": "https://{host}{path}{query}", "status": 302},
        ),
    ],
)
def test_rules_that_answer_are_routes_that_answer(rule: str, keys: Mapping[str, Any]) -> None:
    assert only(f"{rule} if {{ path /x }}") == {"path": "/x", **keys}


def test_a_location_that_is_fixed_gets_no_rest_of_the_path() -> None:
    one = only("http-request redirect location /new if { path_beg /old }")
    assert one == {"path_regex": "^/old", "redirect": "/new", "status": 302}


def test_fields_are_set_in_every_route_of_their_section() -> None:
    made = web(
        "http-request set-header X-A one\nhttp-request del-header X-B\n"
        "http-response set-header X-C three\nuse_backend two if { path /x }"
    )
    fields = {
        "set_request_headers": {"X-A": "one"},
        "remove_request_headers": ["X-B"],
        "set_response_headers": {"X-C": "three"},
    }
    assert routes(made) == [
        {"path": "/x", **fields, "pool": "two"},
        {"host": "*", **fields, "pool": "one"},
    ]


def test_a_field_whose_value_changes_is_not_taken_from_clients() -> None:
    made = web("http-request set-header X-Real-IP %[src]")
    assert routes(made) == [{"host": "*", "remove_request_headers": ["X-Real-IP"], "pool": "one"}]
    assert made.rank("X-Real-IP") is Rank.DIFFERENT


def test_rules_of_a_backend_are_for_its_requests() -> None:
    made = web(
        "use_backend two if { path_beg /two }",
        BACKENDS + "  http-request deny unless { src 10.0.0.0/8 }\n  http-request set-header A b\n",
    )
    assert routes(made) == [
        {
            "path_prefix": "/two",
            "source": "10.0.0.0/8",
            "set_request_headers": {"A": "b"},
            "pool": "two",
        },
        {"path_prefix": "/two", "respond": {"status": 403}},
    ]
    assert not made.draft.grave


def test_a_frontend_without_default_backend_refuses_the_others() -> None:
    made = of_haproxy(
        "frontend web\n  mode http\n  bind 127.0.0.1:80\n  use_backend two if { path /x }\n"
        + BACKENDS.replace("\n  server", "\n  mode http\n  server")
    )
    assert made.config.listeners["web"].pool == "nobody"


SMALL = st.sampled_from(["path_beg /a", "path_beg /a/b", "path /a/b/c", "method GET", "method POST",
                         "hdr(host) x.y", "hdr_end(host) .x.y", "src 10.0.0.0/8",
                         "src 10.1.0.0/16", "ssl_fc"])  # fmt: skip
TERM = st.tuples(st.booleans(), SMALL).map(lambda one: "!" * one[0] + "{ " + one[1] + " }")
ASKED = st.lists(st.lists(TERM, min_size=1, max_size=2).map(" ".join), min_size=1, max_size=2)
WORDS = st.tuples(st.sampled_from(["if", "unless"]), ASKED.map(" or ".join)).map(" ".join)
ACTIONS = st.sampled_from(
    ["http-request deny", "http-request allow", "http-request set-header X-A 1",
     "http-request set-header X-A 2", "http-request del-header X-A", "use_backend two"]
)  # fmt: skip
RULES = st.lists(st.tuples(ACTIONS, WORDS), max_size=4)
REQUESTS = [
    {"path": path, "method": method, "host": host, "source": source, "scheme": scheme}
    for path in ("/", "/a", "/a/b", "/a/b/c") for method in ("GET", "POST")
    for host in ("x.y", "z.x.y", "q") for source in ("10.1.0.1", "10.2.0.1", "11.0.0.1")
    for scheme in ("http", "https")
]  # fmt: skip


def holds(words: str, request: Mapping[str, str]) -> bool:
    """Evaluates a condition as HAProxy does."""
    word, _, rest = words.partition(" ")

    def term(text: str) -> bool:
        name, *values = text.strip("!{ }").split()
        found = {
            "path_beg": lambda: request["path"].startswith(values[0]),
            "path": lambda: request["path"] == values[0],
            "method": lambda: request["method"] == values[0],
            "hdr(host)": lambda: request["host"] == values[0],
            "hdr_end(host)": lambda: request["host"].endswith(values[0]),
            "src": lambda: (
                ipaddress.ip_address(request["source"]) in ipaddress.ip_network(values[0])
            ),
            "ssl_fc": lambda: request["scheme"] == "https",
        }[name]()
        return found != text.strip().startswith("!")

    def every(part: str) -> bool:
        return all(term(one + "}") for one in part.split("}") if one.strip())

    return any(map(every, rest.split(" or "))) == (word == "if")


def by_haproxy(rules: list[tuple[str, str]], request: Mapping[str, str]) -> tuple[str, str]:
    """Returns the backend ("": denied) and X-A, as HAProxy does."""
    field = ""
    for action, words in rules:
        if action.startswith("http-request") and holds(words, request):
            if action.endswith("deny"):
                return "", ""
            if action.endswith("allow"):
                break
            field = action[-1] if "set-header" in action else "-"
    used = any(one == "use_backend two" and holds(words, request) for one, words in rules)
    return ("two" if used else "one"), field


def takes(route: Mapping[str, Any], request: Mapping[str, str]) -> bool:
    """Evaluates the conditions of a route."""

    def many(key: str) -> list[str]:
        value = route[key]
        return value if isinstance(value, list) else [value]

    def meets(key: str, wanted: str) -> bool:
        match key:
            case "path_prefix":
                return request["path"].startswith(wanted)
            case "host" if wanted.startswith("*"):
                return request["host"].endswith(wanted[1:])
            case "source":
                return ipaddress.ip_address(request["source"]) in ipaddress.ip_network(wanted)
        return request[key] == wanted

    keys = [one for one in route if one in (*REQUESTS[0], "path_prefix")]
    return all(any(meets(key, wanted) for wanted in many(key)) for key in keys)


def by_routes(made: Made, request: Mapping[str, str]) -> tuple[str, str]:
    listener = made.draft.listeners["web"]
    for one in listener.get("routes", []):
        if takes(one, request):
            if "respond" in one:
                return "", ""
            removed = "-" if "remove_request_headers" in one else ""
            return one["pool"], one.get("set_request_headers", {}).get("X-A", removed)
    return listener["pool"], ""


@given(RULES)
def test_requests_get_what_haproxy_gives_them(rules: list[tuple[str, str]]) -> None:
    """Compares routes with a naive reading of the rules, where all rules could be converted."""
    made = web("\n".join(f"  {action} {words}" for action, words in rules))
    if made.draft.grave or any("l4lb cannot express it" in one.why for one in made.left):
        return
    if routes(made) == [] and made.draft.listeners["web"]["pool"] == "nobody":
        return
    for request in REQUESTS:
        assert by_routes(made, request) == by_haproxy(rules, request), (rules, request)


# ---- settings ------------------------------------------------------------------------------------


def test_settings_of_listeners_and_pools() -> None:
    made = web(
        "option forwardfor\ntimeout http-request 5s\ntimeout http-keep-alive 2m\n"
        "unique-id-header X-Id\nuse_backend two if { path /x }",
        BACKENDS + "  http-reuse never\n  retry-on conn-failure response-timeout\n"
        "  cookie SRV insert indirect nocache secure attr SameSite=Strict\n"
        "  http-request set-header Host app.example\n",
    )
    http = made.config.listeners["web"].http
    assert made.config.listeners["web"].protocol == "http"
    assert (http.head_timeout_ms, http.rest_timeout_ms) == (5_000, 120_000)
    assert (http.request_id, http.max_body) == ("X-Id", 0)
    pool = made.config.pools["two"]
    assert (pool.http.reuse, pool.http.host) == ("never", "app.example")
    assert pool.http.retry_on == ("reuse", "connect", "timeout")
    assert pool.http.answer_timeout_ms == 40_000
    assert pool.sticky is not None
    cookie = pool.sticky.cookie
    assert cookie is not None
    assert (cookie.name, cookie.secure, cookie.http_only, cookie.same_site) == (
        "SRV", True, False, "strict",
    )  # fmt: skip


def test_a_proxy_that_is_asked_for_the_scheme_is_believed() -> None:
    made = web("redirect scheme https if !{ hdr(X-Forwarded-Proto) https }")
    assert made.config.listeners["web"].http.trusted == ("0.0.0.0/0", "::/0")
    assert made.rank("X-Forwarded-Proto") is Rank.DIFFERENT


def test_a_cookie_of_the_application_is_named() -> None:
    made = web("", BACKENDS + "  cookie JSESSIONID prefix\n")
    assert made.rank("cookie JSESSIONID") is Rank.MISSING


LINES = st.lists(
    st.sampled_from([
        "http-request deny if { path_beg /a/../b }", "http-request deny deny_status 999",
        "http-request redirect location //x if { path /a }", "redirect location x",
        "http-request set-header Content-Length 5", 'http-request set-header X-A "a\\nb"',
        "http-request del-header Connection", "http-request return status 204 string x",
        "use_backend two if { hdr(host) a_b..c }", "use_backend two if { path_beg x }",
        "use_backend two if { method g@t }", "use_backend two if { cook(a b) c }",
        "use_backend two if { src 10.0.0.300 }", "cookie a;b insert", "monitor-uri x?y",
        "use_backend two if { path_reg (?=x) }", "unique-id-header Host", "http-request deny",
        "http-response set-header X-B %[src]", "use_backend two if { ssl_fc_sni a.b }",
        "use_backend two if { path_end / } || { path_beg /% }", "timeout http-request 0",
        "redirect prefix / code 418", "option httpclose", "tcp-request connection reject",
    ]), max_size=6,
)  # fmt: skip


@given(LINES, LINES)
def test_whatever_is_read_becomes_a_valid_configuration(one: list[str], two: list[str]) -> None:
    """`web` fails if the result is refused."""
    web("\n".join(one), BACKENDS + "\n".join(two) + "\n")


# ---- what is hashed ------------------------------------------------------------------------------


def hashing(balance: str, mode: str = "http") -> Made:
    return of_haproxy(
        f"listen web\n  mode {mode}\n  bind 127.0.0.1:80\n  timeout client 30s\n"
        f"  timeout server 40s\n  {balance}\n  server s 10.0.0.1:80\n  server t 10.0.0.2:80\n"
    )


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("balance uri", "path"),
        ("balance hdr(X-User)", "header:X-User"),
        ("balance hdr(host)", "host"),
        ("balance url_param id", "query:id"),
        ("balance hash req.cook(sid)", "cookie:sid"),
        ("balance hash req.hdr(X-User)", "header:X-User"),
        ("balance hash url_param(id)", "query:id"),
        ("balance hash path", "path"),
    ],
)
def test_values_of_requests_that_are_hashed_become_hash_keys(line: str, key: str) -> None:
    for more, balance in (("", "ip_hash"), ("\n  hash-type consistent", "maglev")):
        made = hashing(line + more)
        pool = made.config.pools["web"]
        assert (pool.balance, pool.hash_key) == (balance, key)
        assert not made.left, made.left


@pytest.mark.parametrize(
    "line",
    ["balance uri whole", "balance uri len 12", "balance hdr(Host) use_domain_only",
     "balance url_param id check_post 64", "balance hdr(Connection)", "balance hash req.body",
     "balance hash req.cook(a),lower"],
)  # fmt: skip
def test_what_is_hashed_differently_is_named(line: str) -> None:
    assert hashing(line).rank(line) is Rank.DIFFERENT


def test_values_of_requests_mean_nothing_without_http() -> None:
    made = hashing("balance hdr(X-User)", mode="tcp")
    assert made.config.pools["web"].hash_key == "source_ip"
    assert made.rank("balance hdr(X-User)") is Rank.DIFFERENT


def test_header_fields_that_no_key_may_name_are_those_of_the_configuration() -> None:
    assert request_keys.OF_CONNECTIONS == OWN_FIELDS
