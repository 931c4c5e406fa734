"""Translates the validation library's errors into messages of this program.

Each error has a place and a kind. There is one row a kind here, and a hint with the most similar
key or value if a word is misspelt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from l4lb.config.origin import Finding
from l4lb.config.position import Path
from l4lb.config.schema import did_you_mean, names_below
from l4lb.config.units import shown, type_name

MESSAGES = {  # by pydantic's type of error
    "missing": "this key is required",
    "extra_forbidden": "unknown key",
    "int_type": "must be an integer, not {got}",
    "bool_type": "must be true or false, not {got}",
    "string_type": "must be a string, not {got}",
    "tuple_type": "must be an array, not {got}",
    "list_type": "must be an array, not {got}",
    "model_type": "must be a table, not {got}",
    "dict_type": "must be a table, not {got}",
    "mapping_type": "must be a table, not {got}",
    "literal_error": "{input} is not one of {expected}",
}
SILENT = ("default_factory_not_called",)  # follows from another error of the same table


def findings(error: ValidationError, data: object) -> Iterator[Finding]:
    """Yields each error of a validation of data, once, in the order of the model."""
    for one in error.errors(include_url=False):
        if one["type"] not in SILENT:
            path = _written(one["loc"], data)
            yield Finding(path, _message(one), _hint(one, path))


def _written(location: Path, data: object) -> Path:
    """Returns the part of a location that a file can have: not inside of plain text, and without
    the library's own marks."""
    for depth, part in enumerate(location):
        if not isinstance(data, (Mapping, list)) or part == "[key]":
            return location[:depth]
        try:
            data = data[part]  # type: ignore[index]
        except LookupError:
            return location[: depth + 1]
        except TypeError:  # an array that was taken for a limit alone: it has no key
            return location[:depth]
    return location


def _message(error: Mapping[str, Any]) -> str:
    context = error.get("ctx", {})
    text = MESSAGES.get(error["type"])
    if text is None:
        return str(error["msg"])
    return text.format(
        got=type_name(error["input"]),
        input=shown(error["input"]),
        expected=str(context.get("expected", "")).replace("'", '"'),
    )


def _hint(error: Mapping[str, Any], path: Path) -> str | None:
    context, value = error.get("ctx", {}), error["input"]
    match error["type"]:
        case "l4lb":
            hint: str | None = context["hint"]
            return hint
        case "extra_forbidden":
            return did_you_mean(str(path[-1]), names_below(path[:-1]))
        case "literal_error" if isinstance(value, str):
            return did_you_mean(
                value, context["expected"].replace(" or ", ", ")[1:-1].split("', '")
            )
        case "int_type" if isinstance(value, str) and value.isdecimal():
            return "write it without quotes"
        case "bool_type" if value in ("true", "false"):
            return "write it without quotes"
    return None
