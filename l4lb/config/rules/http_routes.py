"""Checks of the routes of HTTP listeners. They are rows of checks.RULES and checks.ADVICE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from l4lb.config.draft import Draft, Listener
from l4lb.config.origin import Finding, path_text
from l4lb.config.tables.admission import CONDITIONS
from l4lb.config.units import shown

ANY_TEXT = "*"


def unique_names(draft: Draft) -> Iterator[Finding]:
    """Finds two routes of a listener with one name: their requests could not be told apart."""
    for listener in _of_http(draft):
        seen: dict[str, str] = {}
        for path, route in listener.routes:
            name = route.get("name")
            if not isinstance(name, str):
                continue
            if name in seen:
                message = f"another route of this listener is named {shown(name)}"
                yield Finding((*path, "name"), message, f"{seen[name]}; names are unique")
            seen.setdefault(name, path_text(path))


def names_of_tls(draft: Draft) -> Iterator[Finding]:
    """Requires TLS for what only TLS clients say."""
    for listener in _of_http(draft):
        for path, route in listener.routes:
            if "sni" in route and "tls" not in listener.table:
                message = "is a name that TLS clients ask for, and this listener has no tls"
                yield Finding((*path, "sni"), message, "use host")


def swallowed(draft: Draft) -> Iterator[Finding]:
    """Finds routes that no request reaches, because an earlier route takes all of theirs."""
    for listener in _of_http(draft):
        earlier: list[tuple[str, Mapping[str, Any]]] = []
        for path, route in listener.routes:
            for name, one in earlier:
                if _covers(one, route):
                    yield Finding(path, f"is never reached: {name} takes all of its requests")
                    break
            earlier.append((path_text(path), route))


def _of_http(draft: Draft) -> Iterator[Listener]:
    return (one for one in draft.listeners if one.protocol == "http")


def _covers(wide: Mapping[str, Any], narrow: Mapping[str, Any]) -> bool:
    """Returns whether a route takes every request that another one could. False if that is not
    sure."""
    if "percent" in wide and str(wide["percent"]).rstrip("% ") not in ("100", "100.0"):
        return False
    return all(
        _condition_covers(key, wide[key], narrow) for key in CONDITIONS if wide.get(key) is not None
    )


def _condition_covers(key: str, value: Any, narrow: Mapping[str, Any]) -> bool:
    if key == "percent":
        return True
    if key in ("header", "cookie", "query"):
        other = narrow.get(key)
        return isinstance(value, dict) and isinstance(other, dict) and _fields(value, other)
    if key == "path_prefix":
        inside = [*_texts(narrow.get("path_prefix")), *_texts(narrow.get("path"))]
        starts = _texts(value)
        return bool("/" in starts or inside) and all(_has_start(one, starts) for one in inside)
    if key == "path_suffix":
        inside = _texts(narrow.get("path_suffix")) or _texts(narrow.get("path"))
        return bool(inside) and all(one.endswith(tuple(_texts(value))) for one in inside)
    wanted, inside = _texts(value), _texts(narrow.get(key))
    if key in ("host", "sni"):
        return bool("*" in wanted and key == "host") or (
            bool(inside) and all(any(_name_covers(one, name) for one in wanted) for name in inside)
        )
    return bool(inside) and set(inside) <= set(wanted)


def _fields(wide: Mapping[str, Any], narrow: Mapping[str, Any]) -> bool:
    """Returns whether each name of `wide` has patterns that hold whenever those of `narrow` do."""
    return all(
        name in narrow
        and _texts(narrow[name])
        and (
            set(_texts(narrow[name])) <= set(_texts(patterns))
            or (ANY_TEXT in _texts(patterns) and "" not in _texts(narrow[name]))
        )
        for name, patterns in wide.items()
    )


def _has_start(text: str, starts: list[str]) -> bool:
    return any(text.startswith(one) for one in starts)


def _name_covers(wide: str, name: str) -> bool:
    wide, name = wide.lower(), name.lower()
    if wide.startswith("*."):
        return name.removeprefix("*").endswith(wide[1:])
    return wide in (name, "*")


def _texts(value: Any) -> list[str]:
    """Returns the texts of a condition in a draft: one, or an array."""
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str)]


RULES = (unique_names, names_of_tls)
ADVICE = (swallowed,)
