"""What an import makes: tables of a configuration, and each line that could not be carried over."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

BARE = re.compile(r"[A-Za-z0-9_-]+")
NOT_IN_NAMES = re.compile(r"[^\x21-\x2e\x30-\x7e]+")  # spaces, slashes, what cannot be printed
NAME_MAX = 64
WEIGHT_MAX = 256


@dataclass(frozen=True)
class Place:
    """A line of a file, and what it says."""

    file: str
    line: int
    text: str


@dataclass(frozen=True)
class Left:
    """A line that was not carried over, or not as it is."""

    place: Place
    why: str

    def __str__(self) -> str:
        return f"{self.place.file}:{self.place.line}: {self.place.text}: {self.why}"


@dataclass
class Draft:
    """The configuration that is made."""

    process: dict[str, Any] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)
    listeners: dict[str, dict[str, Any]] = field(default_factory=dict)
    pools: dict[str, dict[str, Any]] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)

    def leave(self, place: Place, why: str) -> None:
        self.left.append(Left(place, why))

    def toml(self) -> str:
        """The configuration as a file; tables that are empty are left out."""
        lines: list[str] = []
        tables: dict[str, Mapping[str, Any]] = {"process": self.process, "limits": self.limits}
        tables |= {f"listeners.{_key(name)}": one for name, one in self.listeners.items()}
        tables |= {f"pools.{_key(name)}": one for name, one in self.pools.items()}
        for title, table in tables.items():
            if table:
                lines += _table(title, table)
        return "\n".join(lines)


def name_of(text: str) -> str:
    """A name as this program allows it, as near to text as can be."""
    return NOT_IN_NAMES.sub("-", text)[:NAME_MAX] or "unnamed"


def scaled(weights: Mapping[str, int]) -> dict[str, int]:
    """Weights within bounds, in the same proportions as near as can be; 0 stays 0."""
    top = max(weights.values(), default=0)
    if top <= WEIGHT_MAX:
        return dict(weights)
    return {
        name: max(1, weight * WEIGHT_MAX // top) if weight else 0
        for name, weight in weights.items()
    }


def _table(title: str, table: Mapping[str, Any]) -> list[str]:
    lines = [f"[{title}]"]
    below: dict[str, Mapping[str, Any]] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            below[f"{title}.{_key(key)}"] = value
        elif isinstance(value, list) and value:
            lines += [f"{key} = [", *(f"  {_value(one)}," for one in value), "]"]
        else:
            lines.append(f"{key} = {_value(value)}")
    lines.append("")
    for name, one in below.items():
        lines += _table(name, one)
    return lines


def _key(text: str) -> str:
    return text if BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items()) + " }"
    # JSON's strings, numbers and truth values are TOML's; text that was read has no surrogates.
    return json.dumps(value, ensure_ascii=False)
