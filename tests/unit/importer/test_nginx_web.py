"""nginx.conf, its http block: requests get the same backends, answers and fields as in nginx; what
routes cannot express is named."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.importer.draft import Rank
from tests.unit.importer.made import Made, of_nginx

UPSTREAMS = "upstream one { server 10.0.0.1; } upstream two { server 10.0.0.2:81; }"


def http(text: str) -> Made:
    with tempfile.TemporaryDirectory() as folder:
        return of_nginx(Path(folder), f"http {{\n{UPSTREAMS}\n{text}\n}}\n")


def web(text: str) -> Made:
    """Imports the block of a server."""
    return http(f"server {{\nlisten 80;\n{text}\n}}")


def routes(made: Made) -> list[dict[str, Any]]:
    (listener,) = made.draft.listeners.values()
    return [dict(one) for one in listener.get("routes", [])]


ROOT = "location / { proxy_pass http://one; }"


def only(text: str) -> dict[str, Any]:
    """Returns the only route of a server whose other requests go to pool one."""
    made = web(f"{text}\n{ROOT}")
    (one,) = routes(made)
    assert made.config.listeners["web"].pool == "one"
    assert not made.draft.grave, made.left
    return one


# ---- locations -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "when"),
    [
        ("= /a", {"path": "/a"}),
        ("/a", {"path_prefix": "/a"}),
        ("^~ /a", {"path_prefix": "/a"}),
        ("~ ^/user/[0-9]+$", {"path_regex": "^/user/[0-9]+$"}),
        (r"~* \.png$", {"path_regex": r"(?i)\.png$"}),
    ],
)
def test_locations_are_conditions_about_the_path(location: str, when: Mapping[str, Any]) -> None:
    assert only(f"location {location} {{ proxy_pass http://two; }}") == {**when, "pool": "two"}


def test_a_uri_in_proxy_pass_takes_the_place_of_the_prefix() -> None:
    made = web(f"location /api/ {{ proxy_pass http://two/v1/; }} {ROOT}")
    assert routes(made) == [
        {"path": "/api", "redirect": "/api/", "status": 301},
        {"path_prefix": "/api/", "rewrite_prefix": "/v1/", "pool": "two"},
    ]


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ("return 301 https://$host$request_uri;",
         {"path": "/x", "redirect": "https://{host}{path}{query}", "status": 301}),
        ('return 200 "hi";',
         {"path": "/x", "respond": {"status": 200, "body": "hi", "content_type": "text/plain"}}),
        ("return 403;", {"path": "/x", "respond": {"status": 403}}),
        ("deny all;", {"path": "/x", "respond": {"status": 403}}),
    ],
)  # fmt: skip
def test_locations_that_answer_are_routes_that_answer(text: str, route: Mapping[str, Any]) -> None:
    assert only(f"location = /x {{ {text} }}") == route


def test_allow_and_deny_are_looked_at_in_their_order() -> None:
    made = web("location / { deny 10.0.0.1; allow 10.0.0.0/8; deny all; proxy_pass http://one; }")
    assert routes(made) == [
        {"source": "10.0.0.1/32", "respond": {"status": 403}},
        {"source": "10.0.0.0/8", "pool": "one"},
        {"host": "*", "respond": {"status": 403}},
    ]


def test_fields_are_those_of_the_innermost_block() -> None:
    made = web(
        "proxy_set_header X-A server; add_header X-B server;\n"
        "location / { proxy_pass http://one; proxy_set_header X-A here; }\n"
        "location /two { proxy_pass http://two; proxy_hide_header X-C; }"
    )
    assert routes(made) == [
        {
            "path_prefix": "/two",
            "set_request_headers": {"X-A": "server"},
            "set_response_headers": {"X-B": "server"},
            "remove_response_headers": ["X-C"],
            "pool": "two",
        },
        {
            "host": "*",
            "set_request_headers": {"X-A": "here"},
            "set_response_headers": {"X-B": "server"},
            "pool": "one",
        },
    ]


@pytest.mark.parametrize(
    ("text", "rank"),
    [
        ("location /x { root /srv; }", Rank.MISSING),
        ("location /x { fastcgi_pass unix:/x.sock; }", Rank.MISSING),
        ("location /x { proxy_pass http://$backend; }", Rank.MISSING),
        ("location ~ ^/(.*)$ { proxy_pass http://two/$1; }", Rank.MISSING),
        ('location /x { auth_basic "x"; proxy_pass http://one; }', Rank.OPEN),
        ("location ~ /\\.(?!well-known) { deny all; }", Rank.OPEN),
        ("location /x { limit_req zone=none; proxy_pass http://one; }", Rank.OPEN),
        ("if ($http_user_agent ~ curl) { return 403; }", Rank.OPEN),
        ("rewrite ^/a$ /b;", Rank.MISSING),
        ("error_page 502 /50x.html;", Rank.DIFFERENT),
        ("gzip on;", Rank.DIFFERENT),
    ],
)
def test_what_routes_cannot_express_is_named_with_its_rank(text: str, rank: Rank) -> None:
    made = web(f"{text}\n{ROOT}")
    assert made.left[0].rank is rank, made.left


def test_a_location_whose_rules_are_not_understood_reaches_no_pool() -> None:
    made = web(f"location /x {{ deny 10.0.0.0/99; proxy_pass http://two; }}\n{ROOT}")
    assert routes(made) == [{"path_prefix": "/x", "respond": {"status": 404}}]
    assert made.rank("location /x") is Rank.OPEN


def test_a_location_that_is_not_carried_over_reaches_no_other_pool() -> None:
    made = web(f"location /x {{ root /srv; }}\n{ROOT}")
    assert routes(made) == [{"path_prefix": "/x", "respond": {"status": 404}}]


# ---- servers -------------------------------------------------------------------------------------


def test_servers_of_one_address_are_told_by_their_names() -> None:
    made = http(
        f"server {{ listen 80 default_server; {ROOT} }}\n"
        "server { listen 80; server_name *.b.c; location / { proxy_pass http://two; } }\n"
        "server { listen 80; server_name a.b.c; return 403; }"
    )
    assert routes(made) == [
        {"host": "a.b.c", "respond": {"status": 403}},
        {"host": "*.b.c", "pool": "two"},
    ]


def test_settings_of_listeners_and_pools() -> None:
    made = http(
        "keepalive_timeout 20s; client_max_body_size 8m; proxy_read_timeout 90s;\n"
        "upstream app { ip_hash; server 10.0.0.3; server 10.0.0.4; keepalive 8; }\n"
        "server { listen 443 ssl; ssl_certificate /c.pem; ssl_certificate_key /k.pem;\n"
        "location / { proxy_pass https://app; proxy_set_header Host $host;\n"
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n"
        "proxy_next_upstream error http_503; proxy_connect_timeout 3s; } }"
    )
    (listener,) = made.config.listeners.values()
    assert listener.tls is not None
    assert (listener.protocol, listener.http.rest_timeout_ms) == ("http", 20_000)
    assert (listener.http.max_body, listener.http.forwarded_given or "append") == (
        8 << 20,
        "append",
    )
    pool = made.config.pools["app"]
    assert pool.tls is not None
    assert (pool.balance, pool.connect_timeout_ms) == ("ip_hash", 3_000)
    assert (pool.http.idle_connections, pool.http.host) == (8, "keep")
    assert (pool.http.answer_timeout_ms, "503" in pool.http.retry_on) == (90_000, True)
    assert [str(one.address) for one in pool.backends] == ["10.0.0.3:80", "10.0.0.4:80"]


@pytest.mark.parametrize(
    ("listen", "more", "alpn"),
    [
        ("443 ssl", "", ("http/1.1",)),
        ("443 ssl http2", "", ("h2", "http/1.1")),
        ("443 ssl", "http2 on;", ("h2", "http/1.1")),
        ("443 ssl", "http2 off;", ("http/1.1",)),
    ],
)
def test_clients_with_tls_speak_what_they_speak_with_nginx(
    listen: str, more: str, alpn: tuple[str, ...]
) -> None:
    made = http(
        f"server {{ listen {listen}; {more} ssl_certificate /c.pem; ssl_certificate_key /k.pem;\n"
        "location / { proxy_pass http://10.0.0.1; } }"
    )
    (listener,) = made.config.listeners.values()
    assert listener.alpn == alpn
    assert not made.says("http2")


# ---- properties ----------------------------------------------------------------------------------

PREFIXES = st.sampled_from(["/a", "/a/", "/a/b", "/a/b/c", "/b"])
EXPRESSIONS = st.sampled_from(["/b", "c$", "^/a/b", "a.b"])
PLACES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["", "^~", "="]), PREFIXES),
        st.tuples(st.just("~"), EXPRESSIONS),
    ),
    max_size=6, unique_by=lambda one: one[1] if one[0] != "=" else f"={one[1]}",
)  # fmt: skip
PATHS = ("/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/a/b/cd", "/b", "/b/c", "/c")


def by_nginx(places: list[tuple[str, str]], path: str) -> int:
    """Returns the number of the location that nginx chooses; -1: `location /`."""
    for number, (mode, text) in enumerate(places):
        if mode == "=" and text == path:
            return number
    longest, best = "", -1
    for number, (mode, text) in enumerate(places):
        if mode in ("", "^~") and path.startswith(text) and len(text) > len(longest):
            longest, best = text, number
    if best < 0 or places[best][0] != "^~":
        for number, (mode, text) in enumerate(places):
            if mode == "~" and re.search(text, path):
                return number
    return best


def by_routes(made: Made, path: str) -> int:
    for one in routes(made):
        tests = {
            "path": lambda text: path == text,
            "path_prefix": path.startswith,
            "path_regex": lambda text: re.search(text, path) is not None,
        }
        if all(test(one[key]) for key, test in tests.items() if key in one):
            return int(one["respond"]["status"]) - 401
    return -1


@given(PLACES)
def test_requests_get_the_location_that_nginx_chooses(places: list[tuple[str, str]]) -> None:
    blocks = [
        f"location {mode} {text} {{ return {401 + number}; }}"
        for number, (mode, text) in enumerate(places)
    ]
    made = web("\n".join([*blocks, ROOT]))
    if any("l4lb cannot express it" in one.why for one in made.left):
        return
    for path in PATHS:
        assert by_routes(made, path) == by_nginx(places, path), (places, path)


LINES = st.lists(
    st.sampled_from([
        "return 301 x;", "return 999;", "return 204 x;", "deny 10.0.0.0/99;", "allow unix:;",
        "location /a b { }", "location ~ ( { deny all; }", "location /x/../y { return 403; }",
        "location = /a%2Fb { return 403; }", 'add_header X-A "a\\nb";', "add_header Connection x;",
        "proxy_set_header Content-Length 5;", "client_max_body_size x;", "keepalive_timeout 0;",
        "location @x { return 403; }", "listen 81 http2;", "listen [::]:82 ssl;",
        "server_name a.b *.c .d ~^e$ f.*;", "location / { proxy_pass http://none_such; }",
        "location /u { proxy_pass http://two/x?y; }", "limit_req zone=z;", "proxy_bind x;",
        "if ($host = a.b) { return 301 /x; }", "if ($x) { rewrite ^ /; }", "location /d/ { }",
        "set_real_ip_from 10.0.0.0/8;", "proxy_read_timeout never;", "limit_except GET { }",
    ]), max_size=6,
)  # fmt: skip


@given(LINES)
def test_whatever_is_read_becomes_a_valid_configuration(lines: list[str]) -> None:
    """`http` fails if the result is refused. The other server is there because a configuration
    without listeners is refused."""
    text = "\n".join(lines)
    http(f"server {{ listen 80;\n{text}\n}} server {{ listen 90;\n{ROOT}\n}}")


@pytest.mark.parametrize(
    ("variable", "key"),
    [
        ("$uri", "path"),
        ("$host", "host"),
        ("$http_x_user", "header:x-user"),
        ("$cookie_sid", "cookie:sid"),
        ("$arg_id", "query:id"),
        ("$request_uri", "path"),
    ],
)
@pytest.mark.parametrize(("more", "balance"), [("", "ip_hash"), (" consistent", "maglev")])
def test_values_of_requests_that_are_hashed_become_hash_keys(
    variable: str, key: str, more: str, balance: str
) -> None:
    made = http(
        f"upstream app {{ hash {variable}{more}; server 10.0.0.3; server 10.0.0.4; }}\n"
        "server { listen 80; location / { proxy_pass http://app; } }"
    )
    pool = made.config.pools["app"]
    assert (pool.balance, pool.hash_key) == (balance, key)
    named = [one for one in made.left if "hash" in str(one)]
    assert bool(named) == (variable == "$request_uri")


def test_a_variable_that_no_hash_key_names_is_named() -> None:
    made = http(
        "upstream app { hash $request_method; server 10.0.0.3; server 10.0.0.4; }\n"
        "server { listen 80; location / { proxy_pass http://app; } }"
    )
    assert made.config.pools["app"].hash_key == "source_ip"
    assert any("hash" in str(one) for one in made.left)
