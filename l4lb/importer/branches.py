"""Decisions about requests as a list of branches, of which the first that matches counts, and as
the routes of an HTTP listener.

Other programs have rules that change a request and go on, rules that end, and conditions with
`not`. A branch has conditions that must all hold, and what happens then. A rule is put in front of
the branches behind it: `not` becomes those branches once more, narrowed to the requests that the
rule is not for; a rule that goes on becomes those branches once more, changed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from l4lb.importer.draft import Place, Table
from l4lb.importer.networks import network

BRANCHES_MAX = 512  # of one listener
NAMED = ("header", "cookie", "query")  # conditions that are tables: names and patterns
EVERY = {"host": ["*"]}  # the condition of a route for all requests
SPECIAL = frozenset("\\.^$*+?()[]{}|")

Conditions = Mapping[str, Any]


class UnsaidError(ValueError):
    """Something that routes cannot express."""


class Change(NamedTuple):
    """A change of a header field. side: request or response; an empty value removes the field."""

    side: str
    name: str
    value: str


@dataclass(frozen=True)
class Branch:
    """What happens to the requests that meet all conditions. pool: empty if l4lb answers."""

    place: Place
    pool: str = ""
    when: Conditions = field(default_factory=dict)
    keys: Mapping[str, Any] = field(default_factory=dict)  # further keys of the route
    changes: tuple[Change, ...] = ()


class Alternative(NamedTuple):
    """Requests that meet `when`, and that do not meet any of `nots`."""

    when: Conditions
    nots: Sequence[Conditions] = ()


def decided(
    alternatives: Sequence[Alternative], then: Sequence[Branch], others: Sequence[Branch]
) -> list[Branch]:
    """Returns the branches of a rule: `then` for the requests of an alternative, else `others`.
    Raises UnsaidError."""
    found = list(others)
    for one in reversed(alternatives):
        kept: list[Branch] = []
        for unwanted in one.nots:
            narrowed = both(one.when, unwanted)
            if narrowed is not None:
                kept += _narrowed(found, narrowed)
        found = _reached([*kept, *_narrowed(then, one.when), *found])
    return found


def changed(branches: Iterable[Branch], change: Change, pools: bool = True) -> list[Branch]:
    """Returns branches with a change: of a request before their own, of a response after them.
    pools: answers of l4lb's own are not changed."""
    return [
        one
        if pools and not one.pool
        else replace(
            one,
            changes=(change, *one.changes)
            if change.side == "request"
            else (*one.changes, change),
        )
        for one in branches
    ]  # fmt: skip


def _narrowed(branches: Sequence[Branch], when: Conditions) -> list[Branch]:
    if "percent" in when and len(branches) > 1:
        raise UnsaidError("a share of requests that are not treated alike")
    found = []
    for one in branches:
        narrowed = both(when, one.when)
        if narrowed is not None:
            if _is_fixed(one) and {"path_prefix", "path_regex"} <= set(narrowed):
                raise UnsaidError("two conditions about the path of a redirect")
            same = narrowed.get("path_prefix") == one.when.get("path_prefix")
            if "rewrite_prefix" in one.keys and not same:
                raise UnsaidError("two conditions about a path that is rewritten")
            found.append(replace(one, when=narrowed))
    return found


def _is_fixed(one: Branch) -> bool:
    """True for a redirect to a location that is the same for all requests."""
    return "redirect" in one.keys and "{" not in one.keys["redirect"]


def _reached(branches: Sequence[Branch]) -> list[Branch]:
    """Returns branches without those behind one that takes all."""
    found: list[Branch] = []
    for one in branches:
        if not any(_covers(other.when, one.when) for other in found):
            found.append(one)
        if not one.when:
            break
    if len(found) > BRANCHES_MAX:
        raise UnsaidError(f"it takes more than {BRANCHES_MAX} routes")
    return found


def _covers(wide: Conditions, narrow: Conditions) -> bool:
    """Returns whether a branch surely takes all requests of another one."""
    return "percent" not in wide and all(narrow.get(key) == value for key, value in wide.items())


# ---- conditions ----------------------------------------------------------------------------------


def both(one: Conditions, other: Conditions) -> dict[str, Any] | None:
    """Returns conditions for the requests that meet both; None: there are none. Raises
    UnsaidError."""
    found = dict(one)
    for key, value in other.items():
        if key not in found or found[key] == value:
            found[key] = value
        elif key in NAMED:
            held = dict(found[key])
            for name, patterns in value.items():
                held[name] = _patterns(held[name], patterns) if name in held else patterns
            if not all(held.values()):
                return None
            found[key] = held
        else:
            if key not in MEETS:
                raise UnsaidError(f"two conditions of one kind ({key})")
            found[key] = list(
                dict.fromkeys(
                    met for a in found[key] for b in value if (met := MEETS[key](a, b)) is not None
                )
            )
            if not found[key]:
                return None
    return _paths(found)


def _paths(when: dict[str, Any]) -> dict[str, Any] | None:
    """Removes paths that a prefix or a suffix excludes."""
    for key, fits in (("path_prefix", str.startswith), ("path_suffix", str.endswith)):
        if "path" in when and key in when:
            ends = tuple(when.pop(key))
            when["path"] = [one for one in when["path"] if fits(one, ends)]
            if not when["path"]:
                return None
    return when


def _patterns(one: list[str], other: list[str]) -> list[str]:
    if any("*" in pattern for pattern in (*one, *other)):
        raise UnsaidError("two patterns for one name")
    return [pattern for pattern in one if pattern in other]


def _same(one: str, other: str) -> str | None:
    return one if one == other else None


def _longer(fits: Callable[[str, str], bool]) -> Callable[[str, str], str | None]:
    def met(one: str, other: str) -> str | None:
        if fits(one, other):
            return one
        return other if fits(other, one) else None

    return met


def _below(name: str, wide: str) -> bool:
    return wide in (name, "*") or (wide.startswith("*.") and name.endswith(wide[1:]))


def _within(one: str, other: str) -> bool:
    a, b = network(one), network(other)
    if isinstance(a, ipaddress.IPv4Network) and isinstance(b, ipaddress.IPv4Network):
        return a.subnet_of(b)
    if isinstance(a, ipaddress.IPv6Network) and isinstance(b, ipaddress.IPv6Network):
        return a.subnet_of(b)
    return False


# For each kind of condition: what two values have in common; None: nothing.
MEETS: Mapping[str, Callable[[str, str], str | None]] = {
    "path": _same,
    "method": _same,
    "scheme": _same,
    "path_prefix": _longer(str.startswith),
    "path_suffix": _longer(str.endswith),
    "host": _longer(_below),
    "sni": _longer(_below),
    "source": _longer(_within),
}


def literal(text: str) -> str:
    """Returns a regular expression for a text."""
    return "".join(f"\\{c}" if c in SPECIAL else c for c in text)


# ---- routes --------------------------------------------------------------------------------------


def written(branches: Sequence[Branch], nobody: Callable[[Place], str]) -> tuple[list[Table], str]:
    """Returns the routes of a listener, and its pool. The last branch takes all requests."""
    *some, last = branches
    while some and _is_same(some[-1], last):
        some.pop()
    plain = bool(last.pool and not last.changes and not last.keys)
    routes = [_route(one) for one in (some if plain else branches)]
    return routes, last.pool or nobody(last.place)


def _is_same(one: Branch, other: Branch) -> bool:
    mine = (one.pool, one.keys, one.changes)
    return "percent" not in one.when and mine == (other.pool, other.keys, other.changes)


def _route(one: Branch) -> Table:
    route = Table(one.place)
    when = dict(one.when or EVERY)
    if _is_fixed(one) and "path_prefix" in when:
        # What follows a path_prefix would be added to the location.
        when["path_regex"] = [f"^{literal(text)}" for text in when.pop("path_prefix")]
    for key, value in when.items():
        alone = isinstance(value, list) and len(value) == 1
        route.put(key, value[0] if alone else value, one.place)
    for key, value in one.keys.items():
        route.put(key, value, one.place)
    for side in ("request", "response"):
        new, old = _fields(one.changes, side, bool(one.pool))
        if new:
            route.put(f"set_{side}_headers", new, one.place)
        if old:
            route.put(f"remove_{side}_headers", old, one.place)
    if one.pool:
        route.put("pool", one.pool, one.place)
    return route


def _fields(
    changes: Iterable[Change], side: str, to_pool: bool
) -> tuple[dict[str, str], list[str]]:
    """Returns the fields that are set and those that are removed, after all changes."""
    last: dict[str, Change] = {}
    for one in changes:
        if one.side == side and (to_pool or side == "response"):
            last[one.name.lower()] = one
    new = {one.name: one.value for one in last.values() if one.value}
    return new, [one.name for one in last.values() if not one.value]
