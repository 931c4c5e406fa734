"""haproxy.cfg, sections `cache`: the backends whose answers were kept keep them."""

from __future__ import annotations

from typing import Any

import pytest

from l4lb.importer.draft import Rank
from tests.unit.importer.made import Made, of_haproxy

SECTION = "cache small\n  total-max-size 64\n  max-age 30\n"


def web(front: str, one: str = "", cache: str = SECTION) -> Made:
    """A frontend with two backends."""
    return of_haproxy(
        f"{cache}defaults\n  mode http\n  timeout client 1m\n  timeout server 1m\n"
        f"  timeout connect 5s\nfrontend f\n  bind 127.0.0.1:80\n{front}\n"
        "  use_backend two if { path_beg /two }\n  default_backend one\n"
        f"backend one\n  server s 10.0.0.1:80\n{one}\nbackend two\n  server s 10.0.0.2:80\n"
    )


def routes(made: Made) -> list[dict[str, Any]]:
    (listener,) = made.draft.listeners.values()
    return [dict(one) for one in listener.get("routes", [])]


USE, STORE = "  http-request cache-use small", "  http-response cache-store small"


def test_a_backend_keeps_its_answers() -> None:
    made = web("", f"{USE}\n{STORE}\n  filter cache small")
    assert routes(made) == [
        {"path_prefix": "/two", "pool": "two"},
        {"host": "*", "cache": "small", "pool": "one"},
    ]
    (found,) = made.config.cache.values()
    assert (found.memory, found.max_ttl_ms, found.heuristic_percent) == (64 << 20, 30_000, 0)
    assert (found.stale_if_error_ms, found.collapse) == (0, False)
    assert not made.left


def test_rules_of_a_frontend_are_about_all_its_backends() -> None:
    assert {one["cache"] for one in routes(web(f"{USE}\n{STORE}"))} == {"small"}


def test_answers_that_were_not_stored_are_not_kept() -> None:
    made = web(USE, STORE)
    assert [one.get("cache") for one in routes(made)] == [None, "small"]
    assert not web(USE).config.cache
    assert not web(STORE).config.cache


def test_a_condition_of_use_is_one_of_routes() -> None:
    made = web("", f"{USE} if {{ path_end .png }}\n{STORE}")
    assert routes(made) == [
        {"path_prefix": "/two", "pool": "two"},
        {"path_suffix": ".png", "cache": "small", "pool": "one"},
    ]


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        (f"{USE} if {{ dst_port 80 }}\n{STORE}", "cache-use"),
        (f"{USE}\n{STORE} if {{ status 200 }}", "cache-store"),
        ("  http-request cache-use none\n  http-response cache-store none", "cache-use none"),
    ],
)
def test_what_is_kept_in_another_way_is_named(rules: str, named: str) -> None:
    assert web("", rules).rank(named) is Rank.DIFFERENT


def test_sizes_are_moved_into_the_bounds() -> None:
    section = (
        "cache small\n  total-max-size 1\n  max-object-size 9\n  max-secondary-entries 99\n"
        "  process-vary on\n"
    )
    made = web("", f"{USE}\n{STORE}", section)
    (found,) = made.config.cache.values()
    assert (found.memory, found.max_object, found.max_variants) == (4 << 20, 1 << 10, 16)
    assert found.max_ttl_ms == 60_000
    assert [one.rank for one in made.left] == [Rank.DIFFERENT] * 3


def test_a_section_that_nothing_uses_is_no_cache() -> None:
    made = web("")
    assert not made.config.cache
    assert not made.left


def test_objects_that_do_not_fit_are_named() -> None:
    made = web("", f"{USE}\n{STORE}", f"{SECTION}  max-object-size 30000000\n")
    (found,) = made.config.cache.values()
    assert found.max_object is None
    assert made.rank("max-object-size") is Rank.DIFFERENT
