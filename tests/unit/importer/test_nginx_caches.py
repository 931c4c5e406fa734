"""nginx.conf, proxy_cache: locations keep the answers that they keep in nginx, and never more
alike than there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.config.model import Cache
from l4lb.importer.draft import Rank
from tests.unit.importer.made import Made, of_nginx

ZONE = "proxy_cache_path /var/cache/nginx levels=1:2 keys_zone=pages:10m max_size=2g inactive=1h;"


def http(server: str, zones: str = ZONE) -> Made:
    with tempfile.TemporaryDirectory() as folder:
        text = f"http {{ {zones}\nupstream one {{ server 10.0.0.1; }}\n{server}\n}}\n"
        return of_nginx(Path(folder), text)


def kept(text: str, zones: str = ZONE) -> Made:
    """Imports a server whose only location has a cache."""
    more = "location / { proxy_pass http://one; proxy_cache pages; }"
    return http(f"server {{ listen 80;\n{text}\n{more} }}", zones)


def cache(made: Made) -> Cache:
    (found,) = made.config.cache.values()
    return found


def routes(made: Made) -> list[dict[str, Any]]:
    (listener,) = made.draft.listeners.values()
    return [dict(one) for one in listener.get("routes", [])]


def test_a_zone_becomes_a_cache_that_the_route_names() -> None:
    made = kept("")
    assert routes(made) == [{"host": "*", "cache": "pages", "pool": "one"}]
    found = cache(made)
    assert found.disk is not None
    assert (found.disk.path, found.disk.size) == ("/var/cache/nginx-l4lb-pages", 2 << 30)
    assert (found.collapse, found.heuristic_percent, found.stale_if_error_ms) == (False, 0, 0)
    assert found.key == ("scheme", "host", "path", "query")
    assert not made.draft.grave
    assert made.rank("proxy_cache_path") is Rank.NOTE


@pytest.mark.parametrize("size", ["", "max_size=1m"])
def test_without_a_size_answers_are_kept_in_memory_only(size: str) -> None:
    made = kept("", f"proxy_cache_path /c keys_zone=pages:1m {size};")
    assert cache(made).disk is None
    assert made.rank("proxy_cache_path") is Rank.DIFFERENT


def test_lifetimes_by_status() -> None:
    found = cache(
        kept("proxy_cache_valid 10m; proxy_cache_valid 404 1m; proxy_cache_valid any 5s;")
    )
    minutes = {"200": 600_000, "301": 600_000, "302": 600_000, "404": 60_000}
    assert dict(found.statuses) == minutes
    assert found.default_ttl_ms == 5_000


def test_the_first_lifetime_of_a_status_counts() -> None:
    text = "proxy_cache_valid 404 0; proxy_cache_valid 404 200 1m; proxy_cache_valid any 1m;"
    made = kept(f"{text} proxy_cache_valid 301 9m;")
    assert dict(cache(made).statuses) == {"200": 60_000}
    assert made.rank("404 0") is Rank.DIFFERENT


@pytest.mark.parametrize(
    ("key", "parts"),
    [
        ("$scheme$proxy_host$request_uri", ("scheme", "host", "path", "query")),
        ("$host$uri$is_args$args", ("host", "path", "query")),
        ('"${scheme}://$host$uri"', ("scheme", "host", "path")),
        ("$request_uri", ("host", "path", "query")),
    ],
)
def test_keys_of_parts_of_a_url(key: str, parts: tuple[str, ...]) -> None:
    assert cache(kept(f"proxy_cache_key {key};")).key == parts


@pytest.mark.parametrize(
    "text",
    [
        "proxy_cache_key $uri$cookie_user;",
        "proxy_cache_key $host;",
        "proxy_cache_bypass $logged_in;",
        "proxy_no_cache 1;",
        "proxy_cache_valid 404 soon;",
        "proxy_cache none_such;",
    ],
)
def test_what_could_show_a_page_to_others_keeps_nothing(text: str) -> None:
    place = "" if text.startswith("proxy_cache none") else "proxy_cache pages;"
    made = http(f"server {{ listen 80; location / {{ proxy_pass http://one; {text} {place} }} }}")
    assert not made.config.cache
    assert not routes(made)
    assert any("nothing is kept here" in one.why for one in made.left)
    assert made.left[0].rank is Rank.DIFFERENT


def test_requests_that_go_past_the_cache_have_a_route_of_their_own() -> None:
    made = kept("proxy_cache_bypass $cookie_sid$arg_fresh 0; proxy_no_cache $http_x_user;")
    plain = {"pool": "one"}
    assert routes(made) == [
        {"cookie": {"sid": ["*"]}, **plain},
        {"query": {"fresh": ["*"]}, **plain},
        {"header": {"x-user": ["*"]}, **plain},
        {"host": "*", "cache": "pages", "pool": "one"},
    ]


def test_stale_answers_and_locks() -> None:
    found = cache(kept("proxy_cache_use_stale error http_502 updating; proxy_cache_lock on;\n"
                       "proxy_cache_lock_timeout 2s;"))  # fmt: skip
    assert (found.stale_if_error_ms, found.stale_while_revalidate_ms) == (3_600_000, 3_600_000)
    assert (found.collapse, found.collapse_timeout_ms) == (True, 2_000)


def test_purges_by_networks() -> None:
    found = cache(kept("proxy_cache_purge PURGE from 127.0.0.1 10.0.0.0/8;"))
    assert found.purge is not None
    assert [str(one) for one in found.purge.networks] == ["127.0.0.1/32", "10.0.0.0/8"]
    assert cache(kept("proxy_cache_purge $purge;")).purge is None


@pytest.mark.parametrize(
    ("text", "rank"),
    [
        ("proxy_cache_methods GET POST;", Rank.DIFFERENT),
        ("proxy_cache_use_stale http_404;", Rank.DIFFERENT),
        ("proxy_ignore_headers Cache-Control;", Rank.DIFFERENT),
        ("proxy_cache_purge $purge;", Rank.DIFFERENT),
        ("proxy_cache_min_uses 3;", Rank.NOTE),
    ],
)
def test_what_a_cache_does_in_another_way_is_named(text: str, rank: Rank) -> None:
    made = kept(text)
    assert made.config.cache
    assert made.rank(text.rstrip(";")) is rank


def test_what_means_the_same_is_not_named() -> None:
    quiet = (
        "proxy_cache_revalidate on; proxy_cache_background_update on; proxy_cache_convert_head on;"
        "proxy_cache_methods GET HEAD; proxy_cache_min_uses 1;"
    )
    assert [one.place.text for one in kept(quiet).left] == [ZONE.rstrip(";")]


def test_locations_with_other_settings_have_caches_of_their_own() -> None:
    made = http(
        "server { listen 80; proxy_cache pages; proxy_cache_valid 1m;\n"
        "location / { proxy_pass http://one; }\n"
        "location /a { proxy_pass http://one; }\n"
        "location /b { proxy_pass http://one; proxy_cache_valid 5m; }\n"
        "location /c { proxy_pass http://one; proxy_cache off; } }"
    )
    named = {one.get("path_prefix"): one.get("cache") for one in routes(made)}
    assert named == {"/a": "pages", "/b": "pages-2", "/c": None, None: "pages"}
    paths = [one.disk.path for one in made.config.cache.values() if one.disk]
    assert len(set(paths)) == 2
    assert made.rank("proxy_cache pages") is Rank.DIFFERENT


def test_a_zone_that_nothing_uses_is_no_cache() -> None:
    made = http("server { listen 80; location / { proxy_pass http://one; } }")
    assert not made.config.cache
    assert not made.left


def test_there_are_no_more_caches_than_there_may_be() -> None:
    places = "".join(
        f"\nlocation /{at} {{ proxy_pass http://one; proxy_cache pages; proxy_cache_valid {at}m; }}"
        for at in range(1, 19)
    )
    made = http(f"server {{ listen 80; location / {{ proxy_pass http://one; }} {places} }}")
    assert len(made.config.cache) == 16
    assert sum("16 caches at most" in one.why for one in made.left) == 2


LINES = st.lists(
    st.sampled_from([
        "proxy_cache;", "proxy_cache pages;", "proxy_cache $zone;", "proxy_cache_valid;",
        "proxy_cache_valid 99 1m;", "proxy_cache_valid 206 any 0;", "proxy_cache_valid 404 9999d;",
        "proxy_cache_valid 200 1500ms;", "proxy_cache_key;", "proxy_cache_key $uri;",
        "proxy_cache_lock;", "proxy_cache_lock on;", "proxy_cache_lock_timeout 0;",
        "proxy_cache_use_stale;", "proxy_cache_use_stale updating x;", "proxy_cache_purge;",
        "proxy_cache_purge PURGE from all;", "proxy_cache_purge GET from 10.0.0.0/8;",
        "proxy_cache_purge PURGE from x;", "proxy_no_cache;", "proxy_no_cache $cookie_a$arg_b;",
        "proxy_no_cache $http_host;", "proxy_cache_bypass $arg_a $x;", "proxy_cache_methods;",
        "proxy_cache_min_uses;", "proxy_cache_path /c;",
    ]), max_size=8,
)  # fmt: skip
ZONES = st.sampled_from([
    ZONE, "proxy_cache_path c keys_zone=pages:1m max_size=16m;", "proxy_cache_path;",
    "proxy_cache_path /c keys_zone=pages:1m max_size=x;",
    "proxy_cache_path /c keys_zone=pages:1m max_size=999999g inactive=0;",
    "proxy_cache_path /../c keys_zone=off:1m max_size=1g;",
])  # fmt: skip


@given(LINES, LINES, ZONES)
def test_whatever_is_read_becomes_a_valid_configuration(
    outer: list[str], inner: list[str], zones: str
) -> None:
    """`http` fails if the result is refused."""
    places = "location / { proxy_pass http://one; }\nlocation /a/ { proxy_pass http://one/b/;\n"
    lines = ["server { listen 80;", *outer, places, *inner, "} }"]
    http("\n".join(lines), zones)
