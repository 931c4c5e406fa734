"""Compares two configurations. Pure: plain data in (config/plain.py), rows out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from l4lb.config.origin import path_text
from l4lb.config.plain import members
from l4lb.config.sensitive import NOT_SHOWN, veiled

Plain = Mapping[str, Any]

# Keys that are fixed at start: changes take effect at an upgrade or a restart.
AT_START = frozenset(
    {
        ("process", "admin"),
        ("process", "user"),
        ("process", "hash_seed"),
        ("process", "seccomp"),
        ("process", "packet"),
        ("process", "http"),
        ("process", "http_admin"),
        ("process", "http_token_file"),
        ("process", "http_hosts"),
        ("limits", "max_listeners"),
        ("limits", "max_pools"),
        ("limits", "max_backends"),
        ("limits", "max_sticky"),
        ("cache", "disk"),
    }
)


# The table of a configuration that has the keys of each kind of change.
BELOW = {
    "process": "process",
    "limits": "limits",
    "listener": "listeners.NAME",
    "pool": "pools.NAME",
    "backend": "pools.NAME.backends[]",
    "cache": "cache.NAME",
    "icap": "icap.NAME",
    "record": "record.NAME",
    "forward": "forward.NAME",
    "list": "lists.NAME",
}


@dataclass(frozen=True)
class Change:
    """An object that was added, removed or changed.

    kind: process, limits, cache, icap, record, forward, list, listener, pool or backend. name:
    NAME, or POOL/NAME of a backend. keys: for a changed object, each key's value before and after
    (None: absent). waits: keys of an added object that take effect at the next start.
    """

    kind: str
    name: str
    action: str
    keys: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    waits: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = " ".join(part for part in (self.kind, self.name, self.action) if part)
        values = ", ".join(
            f"{key} {NOT_SHOWN}" if NOT_SHOWN in (old, new) else f"{key} {old!r} -> {new!r}"
            for key, (old, new) in self.shown().items()
        )
        return f"{said}: {values}" if values else said

    def shown(self) -> dict[str, tuple[Any, Any]]:
        """Returns each key, down to the keys of tables, with its values before and after, without
        secrets."""
        return {
            key: (veiled(where, old), veiled(where, new))
            for name, (before, after) in self.keys.items()
            for key, old, new in _leaves(name, before, after)
            for where in [f"{BELOW[self.kind]}.{key}"]
        }

    def plain(self) -> dict[str, Any]:
        """Returns the change as a map, for answers."""
        keys = {key: list(values) for key, values in self.shown().items()}
        return {"kind": self.kind, "name": self.name, "action": self.action, "keys": keys}


def _leaves(key: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yields the keys that differ; for two tables, their keys."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys([*old, *new]):
            yield from _leaves(f"{key}.{name}", old.get(name), new.get(name))
    elif old != new:
        yield key, old, new


def compare(before: Plain, after: Plain) -> list[Change]:
    """Returns the changes of a reload from one configuration to the other, pools before their
    backends."""
    found: list[Change] = []
    for kind in ("process", "limits"):
        keys = _keys(before.get(kind, {}), after.get(kind, {}))
        if keys:
            found.append(Change(kind, "", "changed", keys))
    found += _named("cache", before.get("cache", {}), after.get("cache", {}), "")
    found += _named("icap", before.get("icap", {}), after.get("icap", {}), "")
    found += _named("record", before.get("record", {}), after.get("record", {}), "")
    found += _named("list", before.get("lists", {}), after.get("lists", {}), "")
    found += _named("forward", before.get("forward", {}), after.get("forward", {}), "")
    found += _named("listener", before.get("listeners", {}), after.get("listeners", {}), "")
    old, new = before.get("pools", {}), after.get("pools", {})
    found += _named("pool", old, new, "backends")
    for name in dict.fromkeys([*old, *new]):
        before_and_after = members(old.get(name, {})), members(new.get(name, {}))
        found += _named("backend", *before_and_after, "", f"{name}/")
    return found


def needs_start(changes: list[Change]) -> list[str]:
    """Returns the keys among the changes that take effect at the next start."""
    return [
        path_text((change.kind, *([change.name] if change.name else []), key))
        for change in changes
        for key in (*change.keys, *change.waits)
        if (change.kind, key) in AT_START
    ]


def _keys(old: Plain, new: Plain, but: str = "") -> dict[str, tuple[Any, Any]]:
    """Returns each key whose value differs. A backend's name identifies it and is not one of its
    values."""
    return {
        key: (old.get(key), new.get(key))
        for key in dict.fromkeys([*old, *new])
        if key not in (but, "name") and old.get(key) != new.get(key)
    }


def _named(
    kind: str, old: Mapping[str, Plain], new: Mapping[str, Plain], but: str, prefix: str = ""
) -> Iterator[Change]:
    for name in old:
        if name not in new:
            yield Change(kind, prefix + name, "removed")
    for name, table in new.items():
        if name not in old:
            waits = tuple(key for key in table if (kind, key) in AT_START)
            yield Change(kind, prefix + name, "added", waits=waits)
        elif keys := _keys(old[name], table, but):
            yield Change(kind, prefix + name, "changed", keys)
