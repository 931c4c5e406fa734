"""Sections `cache`, and the rules that use them. A section becomes a cache when a rule uses it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from l4lb.importer.branches import Branch, UnsaidError
from l4lb.importer.draft import CACHES_MAX, Rank, Table, free_name, name_of
from l4lb.importer.haproxy.proxy import Proxy, World
from l4lb.importer.haproxy.sections import Section
from l4lb.importer.haproxy.words import Line
from l4lb.importer.quantities import natural, written_size

MEMORY_MIB = (4, 4_095)
OBJECT = (1 << 10, 64 << 20)
VARIANTS = (1, 16)
MAX_AGE = "60"  # HAProxy's default, in seconds


def read_cache(world: World, section: Section) -> None:
    """Reads a section. HAProxy's defaults are written out where l4lb's differ."""
    table = Table(section.line.place)
    age = Line(section.line.place, ("max-age", MAX_AGE))
    for line in section.lines:
        try:
            match line[0]:
                case "total-max-size":
                    mib = _bounded(world, line, MEMORY_MIB)
                    table.put("memory", f"{mib}MiB", line.place)
                case "max-object-size":
                    count = _bounded(world, line, OBJECT)
                    table.put("max_object", written_size(count), line.place)
                case "max-secondary-entries":
                    table.put("max_variants", _bounded(world, line, VARIANTS), line.place)
                case "max-age":
                    age = line
                case "process-vary":
                    pass
                case _:
                    world.draft.leave(line.place, Rank.NOTE, "see docs/cache.md")
        except ValueError as error:
            world.draft.leave(line.place, Rank.DIFFERENT, f"not understood: {error}")
    try:
        text, moved = natural(age[1], "s", "cache")
        table.put("max_ttl", text, age.place)
        if moved:
            world.draft.leave(age.place, Rank.DIFFERENT, moved)
    except ValueError as error:
        world.draft.leave(age.place, Rank.DIFFERENT, f"not understood: {error}")
    table.put("heuristic", "0%", table.place)
    table.put("stale_if_error", "0s", table.place)
    table.put("collapse", False, table.place)
    world.caches[section.name] = table


def _bounded(world: World, line: Line, bounds: Sequence[int]) -> int:
    number = int(line[1])
    near = min(bounds[1], max(bounds[0], number))
    if near != number:
        world.draft.leave(line.place, Rank.DIFFERENT, f"it is {near} here")
    return near


def cached(name: str, branches: Iterable[Branch], storing: Iterable[str], world: World) -> list[
    Branch
]:  # fmt: skip
    """Returns branches that use a cache. storing: the pools whose answers it keeps. Raises
    UnsaidError."""
    stores = set(storing)
    found = list(branches)
    if any(one.pool in stores for one in found):
        made = _made(world, name)
        found = [
            replace(one, keys={**one.keys, "cache": made}) if one.pool in stores else one
            for one in found
        ]
    return found


def _made(world: World, name: str) -> str:
    """Returns the name of a cache of the result."""
    caches = world.draft.caches
    table = world.caches.get(name)
    if table is None:
        raise UnsaidError(f"there is no cache {name}")
    for known, one in caches.items():
        if one is table:
            return known
    if len(caches) >= CACHES_MAX:
        raise UnsaidError(f"there are {CACHES_MAX} caches at most")
    made = free_name(name_of(name), {*caches, "off"})
    caches[made] = table
    return made


def stores(proxies: Iterable[Proxy | None], name: str) -> bool:
    """Returns whether a section has a rule that keeps answers in a cache."""
    return any(
        line.words[:3] == ("http-response", "cache-store", name)
        for proxy in proxies if proxy is not None for line in proxy.rules
    )  # fmt: skip
