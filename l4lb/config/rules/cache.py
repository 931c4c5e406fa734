"""Checks of caches and of those that name them. They are rows of checks.RULES and
checks.ADVICE."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

from l4lb.config import bounds
from l4lb.config.defaults import default_workers
from l4lb.config.draft import Draft, Table, table
from l4lb.config.origin import Finding, path_text
from l4lb.config.position import Path
from l4lb.config.schema import did_you_mean
from l4lb.config.tables.cache import Cache, largest_object
from l4lb.config.units import DURATION, SIZE, Unit, shown

OFF = "off"


class _Use(NamedTuple):
    """A cache in use: where it is named, its name, the pool whose answers it keeps. named: false if
    a route has its listener's cache."""

    path: Path
    cache: str
    pool: object
    named: bool = True


def _known_caches(draft: Draft) -> Iterator[Finding]:
    known = table(draft.data, "cache")
    for use in _uses(draft):
        if use.named and use.cache not in known:
            add = f"add [{path_text(('cache', use.cache))}]"
            hint = did_you_mean(use.cache, known) or _list(known) or add
            yield Finding(use.path, f"no cache is named {shown(use.cache)}", hint)


def _list(known: Table) -> str:
    return f"there is {', '.join(known)}" if 0 < len(known) <= bounds.CACHES_MAX else ""


def _object_fits(draft: Draft) -> Iterator[Finding]:
    """Each worker writes its own part of the memory: an object must fit there, with others."""
    workers = table(draft.data, "process").get("workers", default_workers())
    if type(workers) is not int or not bounds.WORKERS[0] <= workers <= bounds.WORKERS[1]:
        return
    for path, cache in _caches(draft):
        memory = _quantity(cache, "memory", SIZE)
        wanted = _quantity(cache, "max_object", SIZE)
        if memory is None or wanted is None:
            continue
        largest = largest_object(memory, workers)
        if wanted > largest:
            room = "1 worker" if workers == 1 else f"{workers} workers"
            message = f"{room} with {SIZE.format(memory)} keep answers of at most {largest} bytes"
            needed = -(-wanted * bounds.CACHE_OBJECTS_MIN * workers >> 20)
            hint = f'write memory = "{needed}MiB" or more, or a smaller max_object'
            yield Finding((*path, "max_object"), message, hint)


def _used_caches(draft: Draft) -> Iterator[Finding]:
    used = {use.cache for use in _uses(draft)}
    for path, _ in _caches(draft):
        if path[-1] not in used:
            yield Finding(path, "no listener and no route uses this cache")


def _keeps_no_cookies(draft: Draft) -> Iterator[Finding]:
    """Finds pools that set a cookie: no cache may give a client's cookie to others."""
    sticky = {one.name for one in draft.pools if "cookie" in table(one.table, "sticky")}
    for use in _uses(draft):
        if isinstance(use.pool, str) and use.pool in sticky:
            message = (
                f"an answer out of the cache sets no cookie, and pool {use.pool} is sticky by one"
            )
            hint = "clients get it with their first answer that is not kept"
            yield Finding(use.path, message, hint)


def _has_an_effect(draft: Draft) -> Iterator[Finding]:
    for path, cache in _caches(draft):
        key = cache.get("key")
        if cache.get("ignore_query") and isinstance(key, list) and "query" not in key:
            yield Finding((*path, "ignore_query"), 'has no effect: "query" is not in `key`')
        if cache.get("collapse") is False and "collapse_timeout" in cache:
            yield Finding((*path, "collapse_timeout"), "has no effect with collapse = false")
        longest = _quantity(cache, "max_ttl", DURATION, Cache.model_fields["max_ttl_ms"].default)
        found: dict[Path, object] = {("default_ttl",): cache.get("default_ttl")}
        found |= {("statuses", one): value for one, value in table(cache, "statuses").items()}
        for where, value in found.items():
            lifetime = _parsed(DURATION, value)
            if longest is not None and lifetime is not None and lifetime > longest:
                message = f"is cut to max_ttl, {DURATION.format(longest)}"
                yield Finding((*path, *where), message)


def _few_may_purge(draft: Draft) -> Iterator[Finding]:
    for path, cache in _caches(draft):
        networks = table(cache, "purge").get("networks")
        for index, network in enumerate(networks if isinstance(networks, list) else ()):
            if isinstance(network, str) and network.endswith("/0"):
                message = f"{shown(network)} lets every client purge"
                hint = "name the networks of your own servers"
                yield Finding((*path, "purge", "networks", index), message, hint)


# ---- what there is -------------------------------------------------------------------------------


def _caches(draft: Draft) -> Iterator[tuple[Path, Table]]:
    for name, cache in table(draft.data, "cache").items():
        if isinstance(cache, dict):
            yield ("cache", name), cache


def _uses(draft: Draft) -> Iterator[_Use]:
    for listener in draft.listeners:
        if listener.protocol != "http":
            continue
        whole = table(listener.table, "http").get("cache", OFF)
        if isinstance(whole, str) and whole != OFF:
            yield _Use((*listener.path, "http", "cache"), whole, listener.pool)
        for path, route in listener.routes:
            own = route.get("cache", whole)
            if isinstance(own, str) and own != OFF and "pool" in route:
                named = "cache" in route
                yield _Use((*path, "cache") if named else path, own, route["pool"], named)


def _quantity(cache: Table, key: str, unit: Unit, default: int | None = None) -> int | None:
    """Returns a value of a cache, or its default; None if it has none, or is wrong."""
    if key not in cache:
        known = Cache.model_fields[key].default if default is None else default
        return known if isinstance(known, int) else None
    return _parsed(unit, cache[key])


def _parsed(unit: Unit, value: object) -> int | None:
    with contextlib.suppress(ValueError):
        return unit.parse(value)
    return None


RULES = (_known_caches, _object_fits)
ADVICE = (_used_caches, _keeps_no_cookies, _has_an_effect, _few_may_purge)
