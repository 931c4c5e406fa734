"""The model as data: its JSON Schema, and a flat list of its keys.

docs/configuration.md shows the list.
"""

from __future__ import annotations

import difflib
import functools
import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from l4lb.config import meanings
from l4lb.config.bounds import NAME_BYTES_MAX, SUGGESTIONS_MAX
from l4lb.config.model import Config
from l4lb.config.position import Path
from l4lb.config.units import DURATION, PERCENT, SIZE

JsonSchema = dict[str, Any]
UNITS = {unit.name: unit for unit in (DURATION, SIZE, PERCENT)}


@functools.cache
def _model() -> JsonSchema:
    """Returns the schema without what keys mean. It reads no file: a running service needs it for
    its messages, also when its files are gone."""
    schema: JsonSchema = _cleaned(Config.model_json_schema(mode="validation"))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


@functools.cache
def json_schema() -> JsonSchema:
    """Returns the JSON Schema (2020-12) of a configuration file, for editors and other tools."""
    meanings.add(_model())
    return _model()


class Key(NamedTuple):
    """One key: its path (NAME for a name, [] for an element), and texts about it."""

    path: str
    type: str
    default: str
    bounds: str
    meaning: str

    def __str__(self) -> str:
        cells = (f"`{self.path}`", *self[1:])
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def keys() -> Iterator[Key]:
    """Yields every key that holds a value, in the order of the model."""
    yield from _keys(json_schema(), "")


def type_at(path: Path) -> str | None:
    """Returns the JSON type of the value at path; None if there is no such key or it may have
    several types."""
    node = _model()
    for part in path:
        node = _table_of(node)
        if isinstance(part, str) and part in node.get("properties", {}):
            node = node["properties"][part]
        else:
            node = node.get("additionalProperties") or node.get("items") or {}
    found = _follow(node).get("type")
    return found if isinstance(found, str) else None


def names_below(path: Path) -> list[str]:
    """Returns the keys that the table at path may have; none if its keys are free."""
    node = _model()
    for part in path:
        node = _table_of(node)
        if isinstance(part, str) and part in node.get("properties", {}):
            node = node["properties"][part]
        else:
            node = node.get("additionalProperties") or node.get("items") or {}
    return list(_table_of(node).get("properties", {}))


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Returns a hint if one of the known words is similar."""
    known = itertools.islice(known, SUGGESTIONS_MAX)
    near = difflib.get_close_matches(word[:NAME_BYTES_MAX], known, n=1)
    return f'did you mean "{near[0]}"?' if near else None


def _cleaned(node: Any) -> Any:
    """Adapts a node to files: TOML has no null, an optional key may be absent, and quantities have
    units."""
    if isinstance(node, list):
        return [_cleaned(one) for one in node]
    if not isinstance(node, dict):
        return node
    node = {key: _cleaned(one) for key, one in node.items()}
    if {"type": "null"} in node.get("anyOf", ()):
        rest = [one for one in node.pop("anyOf") if one != {"type": "null"}]
        node |= rest[0] if len(rest) == 1 else {"anyOf": rest}
        node.pop("default", None)
    unit = UNITS.get(node.get("x-l4lb-type"))
    if unit is not None and "default" in node:
        node["default"] = unit.format(node["default"])
    return node


def _follow(node: JsonSchema) -> JsonSchema:
    """Returns node, or the node that it refers to with node's own entries added."""
    name = node.get("$ref", "").removeprefix("#/$defs/")
    return {**_model()["$defs"][name], **node} if name else node


def _table_of(node: JsonSchema) -> JsonSchema:
    """Returns node, or its alternative that is a table."""
    node = _follow(node)
    return next((_follow(one) for one in node.get("anyOf", ()) if "$ref" in one), node)


def _keys(node: JsonSchema, path: str) -> Iterator[Key]:
    node = _table_of(node)
    below = node.get("additionalProperties")
    if node.get("type") != "object":
        yield _key(node, path)
        if "properties" in _table_of(node.get("items", {})):
            yield from _keys(node["items"], path + "[]")
    elif isinstance(below, dict):
        if "properties" in _table_of(below):
            yield from _keys(below, f"{path}.NAME")
        else:  # names and texts
            yield _key(node, path)
    else:
        required = node.get("required", ())
        for name, one in node.get("properties", {}).items():
            yield from _keys(
                {**one, "x-l4lb-required": name in required}, f"{path}.{name}" if path else name
            )


def _key(node: JsonSchema, path: str) -> Key:
    if node.get("x-l4lb-required"):
        default = "required"
    elif "x-l4lb-default" in node:
        default = node["x-l4lb-default"]
    else:
        default = f"`{json.dumps(node['default'])}`" if "default" in node else "absent"
    return Key(path, _type(node), default, _bounds(node), " ".join(node["description"].split()))


def _type(node: JsonSchema) -> str:
    if "enum" in node:
        return "one of " + ", ".join(f"`{json.dumps(one)}`" for one in node["enum"])
    if "type" not in node and "anyOf" in node:
        return " or ".join(dict.fromkeys(_type(_follow(one)) for one in node["anyOf"]))
    if node["type"] == "array":
        return "array"
    return str(node.get("x-l4lb-type", node["type"])).replace("object", "table")


def _bounds(node: JsonSchema) -> str:
    minimum, maximum = node.get("x-l4lb-bounds", (node.get("minimum"), node.get("maximum")))
    return "" if minimum is None else f"{minimum} to {maximum}"
