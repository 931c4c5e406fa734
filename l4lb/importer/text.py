"""Writes a draft as a TOML file. A line that was left is a comment in the table that it belongs
to."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from l4lb.importer.draft import Draft, Left, Path

BARE = re.compile(r"[A-Za-z0-9_-]+")
# A reference to an environment variable, as the readers mark it: its name, then the text for a
# variable that is not set. Text that only looks like a reference stays text.
REFERENCE = re.compile("\ue000([A-Za-z_][A-Za-z0-9_]*)(?:\ue001([^\ue002}]*))?\ue002")


def reference(name: str, default: str | None = None) -> str:
    """Returns an environment variable in the form of the draft."""
    return f"\ue000{name}\ue002" if default is None else f"\ue000{name}\ue001{default}\ue002"


def resolved(text: str) -> str:
    """Returns a text with the present values of environment variables."""
    return REFERENCE.sub(lambda one: os.environ.get(one[1]) or one[2] or "", text)


def toml(draft: Draft) -> str:
    """Returns the whole file."""
    comments: dict[Path, list[Left]] = {}
    shown = _titles(draft)
    for one in draft.ranked():
        where = one.where if one.where in shown else ()
        comments.setdefault(where, []).append(one)
    lines = _told(comments.get((), []))
    if lines:
        lines.append("")
    for path, table in shown.items():
        told = _told(comments.get(path, []))
        if table or told:
            lines += _table(path, table, told)
    return "\n".join(lines)


def _titles(draft: Draft) -> dict[Path, Mapping[str, Any]]:
    found: dict[Path, Mapping[str, Any]] = {
        ("process",): draft.process, ("limits",): draft.limits
    }  # fmt: skip
    found |= {("listeners", name): one for name, one in draft.listeners.items()}
    found |= {("pools", name): one for name, one in draft.pools.items()}
    found |= {("cache", name): one for name, one in draft.caches.items()}
    found |= {("forward", name): one for name, one in draft.forwards.items()}
    found |= {("lists", name): one for name, one in draft.lists.items()}
    return found


def _told(left: list[Left]) -> list[str]:
    lines = []
    for one in left:
        lines += [f"# {_line(str(one.place))}", f"#   {one.rank.word}: {_line(one.why)}"]
    return lines


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _table(path: Path, table: Mapping[str, Any], told: list[str]) -> list[str]:
    lines = list(told)
    below: dict[Path, Mapping[str, Any]] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            below[(*path, key)] = value
        elif isinstance(value, list) and value and (isinstance(value[0], dict) or len(value) > 4):
            lines += [f"{_key(key)} = [", *(f"  {_value(one)}," for one in value), "]"]
        else:
            lines.append(f"{_key(key)} = {_value(value)}")
    if lines or not below:
        lines.insert(0, "[" + ".".join(_key(str(part)) for part in path) + "]")
        lines.append("")
    for deeper, one in below.items():
        lines += _table(deeper, one, [])
    return lines


def _key(text: str) -> str:
    return text if BARE.fullmatch(text) else _text(text)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        return REFERENCE.sub(_written, _text(value.replace("${", "$${")))
    return json.dumps(value)


def _written(match: re.Match[str]) -> str:
    default = "" if match[2] is None else f":-{match[2]}"
    return f"${{{match[1]}{default}}}"


def _text(text: str) -> str:
    """Formats a string: JSON's strings are valid in TOML, except for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
