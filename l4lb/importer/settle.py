"""Makes the result a valid configuration: removes every setting that would be refused, and reports
the line that it came from. The readers know most bounds; this is for the rest."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from l4lb.errors import Problem
from l4lb.importer.draft import Draft, Path, Place, Rank, Table
from l4lb.importer.text import toml

ROUNDS_MAX = 64
PART = re.compile(r'\[(\d+)\]|"([^"]*)"|([A-Za-z0-9_-]+)')
# Keys without which their table means nothing: without a type there is no check.
WHOLE = ("address", "pool", "bind", "certificates", "cert", "type", "command", "limit", "port",
         "name", "trusted", "key", "send", "expect")  # fmt: skip
RANKS = {
    "access": Rank.OPEN, "trusted": Rank.OPEN, "limits": Rank.OPEN, "tls": Rank.CLEAR,
    "health": Rank.UNCHECKED, "agent": Rank.UNCHECKED, "backends": Rank.MISSING,
    "discovery": Rank.MISSING, "routes": Rank.MISSING, "bind": Rank.MISSING,
    "rules": Rank.OPEN, "auth": Rank.OPEN,
}  # fmt: skip


def settle(draft: Draft, refused: Callable[[str], Sequence[Problem]]) -> Sequence[Problem]:
    """Removes from draft the settings that refused names, until it names none; returns the problems
    that are left."""
    found: Sequence[Problem] = ()
    for _ in range(ROUNDS_MAX):
        draft.make_room()
        found = refused(toml(draft))
        gone: list[Path] = []
        for problem in reversed(found):  # the last element of a list first: others keep their index
            path = path_of(problem.key)
            if not any(path[: len(one)] == one for one in gone):
                gone += _take_out(draft, problem, path)
        if not gone:
            break
    return found


def place_of(draft: Draft, key: str) -> Place:
    """Returns the line that the value at a key came from."""
    chain = _chain(draft, path_of(key))
    places = (_place(holder, part) for holder, part, _ in reversed(chain))
    return next((one for one in places if one is not None), draft.place)


def path_of(key: str) -> Path:
    """Returns the parts of a path in a message: pools."a b".backends[1].weight."""
    return tuple(
        int(index) if index else quoted or bare for index, quoted, bare in PART.findall(key)
    )


def _take_out(draft: Draft, problem: Problem, at: Path) -> list[Path]:
    """Removes the smallest part at a path that can be missing; returns its path, if there is
    one."""
    chain = _chain(draft, at)
    while chain:
        holder, part, path = chain.pop()
        if len(path) == 1:
            break
        needed = part in WHOLE and not _optional(path) and len(path) > 2
        if needed or _part_of_route(path):
            continue
        place = place_of(draft, problem.key)
        rank = Rank.OPEN if _refuses(holder[part]) else _rank(path)
        del holder[part]
        why = f"{problem.key}: {problem.message}: it was taken out"
        draft.leave(place, rank, why, path[:2] if len(path) > 2 else ())
        _clear(draft)
        return [path]
    return []


def _refuses(value: Any) -> bool:
    """True for a route whose requests do not reach a backend."""
    routes = value if isinstance(value, list) else [value]
    return any(isinstance(one, dict) and {"respond", "redirect"} & set(one) for one in routes)


def _part_of_route(path: Path) -> bool:
    """True for a part of a route: a route that loses a condition would match more clients. Its
    cache is no condition."""
    return "routes" in path and path[-1] != "cache" and len(path) > path.index("routes") + 2


def _optional(path: Path) -> bool:
    """True for keys that are needed in one table and not in another."""
    return (path[-1] == "name" and "backends" in path) or (path[-1] == "port" and "health" in path)


def _chain(draft: Draft, path: Path) -> list[tuple[Any, str | int, Path]]:
    """Returns the containers along a path, from the top to the deepest that exists."""
    found: list[tuple[Any, str | int, Path]] = []
    here: Any = draft.tables()
    for depth, part in enumerate(path, 1):
        known = part in here if isinstance(here, dict) else isinstance(part, int) and (
            isinstance(here, list) and part < len(here)
        )  # fmt: skip
        if not known:
            break
        found.append((here, part, path[:depth]))
        here = here[part]
    return found


def _place(holder: Any, part: str | int) -> Place | None:
    value = holder[part]
    if isinstance(value, Table):
        return value.place
    if isinstance(holder, Table):
        return holder.places.get(str(part), holder.place)
    return None


def _rank(path: Path) -> Rank:
    if len(path) == 2 and path[0] in ("listeners", "pools"):
        return Rank.MISSING
    return next((RANKS[part] for part in map(str, path[1:]) if part in RANKS), Rank.DIFFERENT)


def _clear(draft: Draft) -> None:
    """Removes tables and lists that have become empty."""
    for table in (*draft.listeners.values(), *draft.pools.values(), *draft.caches.values()):
        for key, value in list(table.items()):
            if value in ([], {}) and key not in ("keepalive", "trusted", "proxy_tlvs"):
                del table[key]
