"""[cache.NAME] and those that name caches: defaults, sizes and warnings."""

from __future__ import annotations

from typing import Any

import pytest

from l4lb.config import bounds
from l4lb.config.build import build
from l4lb.config.model import Cache, Config
from l4lb.config.origin import Origin
from l4lb.config.tables.cache import largest_object
from l4lb.errors import ConfigError
from l4lb.native.cache import memory_bytes

ROUTE = {"path_prefix": "/a", "pool": "a", "cache": "pages"}


def config(cache: dict[str, Any], **listener: Any) -> Config:
    table = {"bind": ["127.0.0.1:1"], "protocol": "http", "pool": "a", **listener}
    pools = {
        "a": {"backends": ["127.0.0.1:2"]},
        "sticky": {"backends": ["127.0.0.1:2"], "sticky": {"cookie": {}}},
    }
    data = {"listeners": {"web": table}, "pools": pools, "cache": {"pages": cache}}
    return build({"process": {"workers": 2}, **data}, Origin())


def warnings(cache: dict[str, Any], **listener: Any) -> list[str]:
    told = [str(one) for one in config(cache, **listener).warnings]
    return [one for one in told if not one.endswith("no listener uses this pool")]


def test_what_is_left_out_is_as_documented() -> None:
    cache = Cache()
    assert (cache.memory, cache.object_bytes(4)) == (256 << 20, 1 << 20)
    assert cache.key == ("scheme", "host", "path", "query")
    assert (cache.default_ttl_ms, cache.heuristic_percent) == (0, 10)
    assert cache.max_ttl_ms == 7 * bounds.DAY_MS
    assert (cache.stale_while_revalidate_ms, cache.stale_if_error_ms) == (0, bounds.HOUR_MS)
    assert (cache.collapse, cache.collapse_timeout_ms) == (True, 5_000)
    assert (cache.tags, cache.status, cache.purge) == ("Cache-Tag", "Cache-Status", None)
    assert cache.cdn_cache_control == ("L4LB-CDN-Cache-Control", "CDN-Cache-Control")
    assert (cache.max_variants, cache.statuses) == (16, {})
    assert (cache.ignore_query, cache.ignore_cookies) == ((), ())


@pytest.mark.parametrize("workers", [1, 2, 7, 64])
def test_what_the_check_lets_pass_fits_the_memory(workers: int) -> None:
    for memory in (*(bounds.CACHE_MEMORY_BYTES), 5_000_001, 256 << 20):
        largest = largest_object(memory, workers)
        assert memory_bytes(memory, workers, largest) >= memory - workers * 8192
        assert memory_bytes(memory, workers, 2 * largest) == 0


def test_without_a_size_the_largest_object_is_what_fits() -> None:
    small = Cache.model_validate({"memory": "4MiB"})
    assert small.object_bytes(64) == largest_object(4 << 20, 64)
    assert config({"memory": "4MiB"}, http={"cache": "pages"}).warnings


def test_more_caches_than_the_table_has_rows_are_refused() -> None:
    listener = {"bind": ["127.0.0.1:1"], "pool": "a"}
    pools = {"a": {"backends": ["127.0.0.1:2"]}}
    caches: dict[str, Any] = {f"c{number}": {} for number in range(17)}
    with pytest.raises(ConfigError, match="cache: are 17 caches, more than 16"):
        build({"listeners": {"web": listener}, "pools": pools, "cache": caches}, Origin())


def test_a_cache_that_is_named_is_no_warning() -> None:
    assert warnings({}, http={"cache": "pages"}) == []
    assert warnings({}, routes=[ROUTE]) == []


def test_a_cache_that_nobody_names_is_told() -> None:
    assert warnings({}) == ["cache.pages: no listener and no route uses this cache"]
    off = {**ROUTE, "cache": "off"}
    assert warnings({}, routes=[off], http={"cache": "off"})


@pytest.mark.parametrize(
    ("listener", "key"),
    [
        ({"pool": "sticky", "http": {"cache": "pages"}}, "listeners.web.http.cache"),
        ({"routes": [{**ROUTE, "pool": "sticky"}]}, "listeners.web.routes[0].cache"),
        (
            {"routes": [{"path": "/b", "pool": "sticky"}], "http": {"cache": "pages"}},
            "listeners.web.routes[0]",
        ),
    ],
)
def test_a_cache_before_a_pool_that_sets_cookies_is_told(
    listener: dict[str, Any], key: str
) -> None:
    (told,) = warnings({}, **listener)
    assert told.startswith(f"{key}: an answer out of the cache sets no cookie, and pool sticky")


def test_a_disk_keeps_answers_of_an_eighth_of_its_size_and_at_most_a_gibibyte() -> None:
    sizes = {"16MiB": 2 << 20, "8GiB": 1 << 30, "64TiB": 1 << 30}
    for size, largest in sizes.items():
        disk = config({"disk": {"path": "/a", "size": size}}).cache["pages"].disk
        assert disk is not None
        assert disk.object_bytes == largest
    own = {"path": "/a", "size": "16MiB", "max_object": "64KiB"}
    disk = config({"disk": own}).cache["pages"].disk
    assert disk is not None
    assert disk.object_bytes == 64 << 10


def test_the_folder_of_a_disk_is_the_same_however_it_is_written() -> None:
    for path in ("/var/cache/l4lb", "/var/cache/l4lb/", "//var/./cache//l4lb/."):
        disk = config({"disk": {"path": path, "size": "1GiB"}}).cache["pages"].disk
        assert disk is not None
        assert disk.path == "/var/cache/l4lb"


def test_folders_whose_names_only_begin_alike_are_apart() -> None:
    pools = {"a": {"backends": ["127.0.0.1:2"]}}
    listener = {"bind": ["127.0.0.1:1"], "pool": "a"}
    caches = {
        name: {"disk": {"path": f"/var/cache/{name}", "size": "1GiB"}} for name in ("a", "ab")
    }
    assert build({"listeners": {"web": listener}, "pools": pools, "cache": caches}, Origin())


@pytest.mark.parametrize(
    ("cache", "told"),
    [
        (
            {"disk": {"path": "/tmp/l4lb", "size": "1GiB"}},
            "disk.path: what is in /tmp does not survive a restart of the machine",
        ),
        (
            {"disk": {"path": "/run", "size": "1GiB"}},
            "disk.path: what is in /run does not survive a restart of the machine",
        ),
        (
            {"max_object": "2MiB", "disk": {"path": "/a", "size": "1GiB", "max_object": "1MiB"}},
            "disk.max_object: answers of more than 1MiB are kept in memory only",
        ),
        ({"ignore_query": ["a"], "key": ["host", "path"]}, "ignore_query: has no effect"),
        ({"collapse": False, "collapse_timeout": "1s"}, "collapse_timeout: has no effect"),
        ({"default_ttl": "8d"}, "default_ttl: is cut to max_ttl, 7d"),
        ({"max_ttl": "1m", "statuses": {"404": "2m"}}, "statuses.404: is cut to max_ttl, 1m"),
        ({"purge": {"networks": ["::/0"]}}, 'purge.networks[0]: "::/0" lets every client purge'),
    ],
)
def test_a_key_with_no_effect_or_a_dangerous_one_is_told(cache: dict[str, Any], told: str) -> None:
    (found,) = warnings(cache, routes=[ROUTE])
    assert found.startswith(f"cache.pages.{told}")
