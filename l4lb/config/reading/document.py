"""Reads one TOML file to plain data.

The result is data or one ConfigError, whatever the file contains. Nothing here blocks, recurses or
grows because of a broken file, and each problem has its line.
"""

from __future__ import annotations

import os
import re
import tomllib
from typing import Any

from l4lb.config.bounds import FILE_BYTES_MAX, NESTING_MAX
from l4lb.errors import ConfigError, Problem

SYNTAX_PLACE = re.compile(
    r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$"
)
# why: tomllib takes time with the square of the number of a key's parts. Keys with more parts never
# reach it.
LONG_KEY = re.compile(
    r"(?:^|[\[{,])[ \t]*(?:(?:[A-Za-z0-9_-]+|\"[^\"\n]*\"|'[^'\n]*')[ \t]*\.[ \t]*)"
    rf"{{{NESTING_MAX}}}",
    re.MULTILINE,
)


def read(path: str | os.PathLike[str]) -> str:
    """Returns a file's text. Raises ConfigError if the file cannot be read or is not text."""
    name = os.fsdecode(path)
    try:
        with open(path, "rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise refused(name, None, f"cannot be read: {error.strerror}") from error
    except ValueError as error:  # a NUL in the path
        raise refused(name, None, f"cannot be read: {error}") from error
    if len(content) > FILE_BYTES_MAX:
        raise refused(name, None, f"is larger than {FILE_BYTES_MAX >> 20} MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise refused(name, line, "not UTF-8 text, which TOML is") from error


def parse(text: str, filename: str) -> dict[str, Any]:
    """Parses a TOML text; filename is used only in errors. Raises ConfigError."""
    long_key = LONG_KEY.search(text)
    if long_key is not None:
        line = text.count("\n", 0, long_key.end()) + 1
        raise refused(filename, line, f"a key of more than {NESTING_MAX} parts")
    try:
        data = tomllib.loads(text)
    except RecursionError:
        raise refused(filename, None, "values are nested too deeply") from None
    except ValueError as error:
        raise _syntax_error(error, text, filename) from error
    if _depth_exceeds(data, NESTING_MAX):
        raise refused(filename, None, f"values are nested more than {NESTING_MAX} deep")
    return data


def refused(filename: str, line: int | None, message: str) -> ConfigError:
    """Makes an error about a file as a whole."""
    return ConfigError([Problem(filename, line, "", message)])


def _syntax_error(error: ValueError, text: str, filename: str) -> ConfigError:
    message = str(error)
    place = SYNTAX_PLACE.search(message)
    if place is None:
        return refused(filename, None, "not valid TOML: an integer of thousands of digits")
    column = f" (column {place['column']})" if place["column"] else " (at the end of the file)"
    line = int(place["line"]) if place["line"] else text.count("\n", 0, len(text) - 1) + 1
    what = SYNTAX_PLACE.sub("", message)
    return refused(filename, max(line, 1), f"not valid TOML: {what[:1].lower()}{what[1:]}{column}")


def _depth_exceeds(data: dict[str, Any], maximum: int) -> bool:
    level: list[Any] = [data]
    for _ in range(maximum + 1):
        level = [
            below
            for value in level
            for below in (value.values() if isinstance(value, dict) else value)
            if isinstance(below, (dict, list))
        ]
    return bool(level)
