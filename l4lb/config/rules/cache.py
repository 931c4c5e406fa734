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
from l4lb.config.tables.cache import DEFAULT_DISK_OBJECT, Cache, largest_file, largest_object
from l4lb.config.units import DURATION, SIZE, Unit, shown
from l4lb.config.values.caches import disk_path

OFF = "off"
VOLATILE = ("/tmp/", "/dev/shm/", "/run/", "/var/run/")  # folders that are emptied at a start


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


def _files_fit(draft: Draft) -> Iterator[Finding]:
    for path, disk in _disks(draft):
        size, wanted = _parsed(SIZE, disk.get("size")), _parsed(SIZE, disk.get("max_object"))
        if size is not None and wanted is not None and wanted > largest_file(size):
            message = f"a disk with {SIZE.format(size)} keeps answers of at most"
            hint = f'write size = "{-(-wanted * bounds.CACHE_DISK_OBJECTS_MIN >> 20)}MiB" or more'
            finding = f"{message} {largest_file(size)} bytes"
            yield Finding((*path, "max_object"), finding, f"{hint}, or a smaller max_object")


def _own_folders(draft: Draft) -> Iterator[Finding]:
    """Each cache and each record removes what it finds in its folder, so no two may have one."""
    seen: list[tuple[str, Path]] = []
    for path, folder in _folders(draft):
        for other, where in seen:
            if f"{folder}/".startswith(f"{other}/") or f"{other}/".startswith(f"{folder}/"):
                how = "is also that" if folder == other else "is not apart from the folder"
                message = f"{how} of {path_text(where)}"
                yield Finding(path, message, f"give each {path[0]} a folder of its own")
                break
        seen.append((folder, path[:2]))


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


def _disk_is_worth_it(draft: Draft) -> Iterator[Finding]:
    for path, disk in _disks(draft):
        folder = _folder(disk.get("path"))
        volatile = next((one for one in VOLATILE if folder and f"{folder}/".startswith(one)), None)
        if volatile is not None:
            message = f"what is in {volatile[:-1]} does not survive a restart of the machine"
            yield Finding((*path, "path"), message, "name a folder such as /var/cache/l4lb")
        cache = table(table(draft.data, "cache"), str(path[1]))
        wanted, size = _parsed(SIZE, disk.get("max_object")), _parsed(SIZE, disk.get("size"))
        largest = wanted or (None if size is None else min(DEFAULT_DISK_OBJECT, largest_file(size)))
        in_memory = _quantity(cache, "max_object", SIZE)
        if largest is not None and in_memory is not None and in_memory > largest:
            message = f"answers of more than {SIZE.format(largest)} are kept in memory only"
            yield Finding((*path, "max_object"), message, "memory takes larger ones than the disk")


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


def _disks(draft: Draft) -> Iterator[tuple[Path, Table]]:
    for path, cache in _caches(draft):
        if isinstance(cache.get("disk"), dict):
            yield (*path, "disk"), cache["disk"]


def _folders(draft: Draft) -> Iterator[tuple[Path, str]]:
    """Yields the folders that are used up: where they are named, and their paths."""
    places = [((*path, "path"), disk.get("path")) for path, disk in _disks(draft)]
    records = table(draft.data, "record")
    places += [(("record", name, "folder"), table(records, name).get("folder")) for name in records]
    for where, value in places:
        folder = _folder(value)
        if folder is not None:
            yield where, folder


def _folder(path: object) -> str | None:
    """Returns the path of a folder; None if it is wrong."""
    with contextlib.suppress(ValueError):
        return disk_path(path) if isinstance(path, str) else None
    return None


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
    for name, forward in table(draft.data, "forward").items():
        own = forward.get("cache", OFF) if isinstance(forward, dict) else OFF
        if isinstance(own, str) and own != OFF:
            yield _Use(("forward", name, "cache"), own, None)


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


RULES = (_known_caches, _object_fits, _files_fit, _own_folders)
ADVICE = (_used_caches, _keeps_no_cookies, _has_an_effect, _disk_is_worth_it, _few_may_purge)
