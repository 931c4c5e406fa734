"""The origin of a configuration: finds the file and line of each value.

A path names a value, as in ("pools", "web", "backends", 1, "weight"). Finding lines needs a scan of
the whole text, so it is done only when there is a problem.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from l4lb.config.bounds import INCLUDES_MAX, SHOWN_MAX
from l4lb.config.position import Path, positions
from l4lb.config.units import shown
from l4lb.errors import Problem

BARE = re.compile(r"[A-Za-z0-9_-]+")


def path_text(path: Path) -> str:
    """Returns a path as people read it: pools.web.backends[1].weight, quoted where TOML needs
    quotes."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        if not BARE.fullmatch(part) or len(part) > SHOWN_MAX:
            part = shown(part)
        text += f".{part}" if text else part
    return text


class Finding(NamedTuple):
    """An error in the value at a path, before its line is known."""

    path: Path
    message: str
    hint: str | None = None


@dataclass(frozen=True)
class Source:
    """One file of a configuration and its text."""

    file: str
    text: str = field(repr=False)

    def written(self, path: Path) -> Path:
        """Returns the longest beginning of path that this file contains; () if it contains none."""
        known = _lines(self.text)
        return next((path[:n] for n in range(len(path), 0, -1) if path[:n] in known), ())

    def line(self, path: Path) -> int:
        """Returns the line of the longest beginning of path that this file contains."""
        return _lines(self.text).get(self.written(path), 1)

    def place(self, path: Path) -> str:
        """Returns that place as FILE:LINE."""
        return f"{self.file}:{self.line(path)}"


@dataclass(frozen=True)
class Origin:
    """The origin: a file and its text (valid TOML) with the files that it includes; or the flags of
    some paths; or nothing."""

    file: str | None = None
    text: str = field(default="", repr=False)
    flags: Mapping[Path, str] = field(default_factory=dict)
    also: tuple[Source, ...] = ()

    def problem(self, finding: Finding) -> Problem:
        """Returns the finding with its place: that of the value, or of the nearest table around
        it."""
        path, message, hint = finding
        source = self._source(path)
        if source is not None:
            return Problem(source.file, source.line(path), path_text(path), message, hint)
        near = self.written(path)
        key = path_text(path)
        if near in self.flags:
            rest = path_text(path[len(near) :])
            key = f"{self.flags[near]}: {rest}" if rest else self.flags[near]
        return Problem(None, None, key, message, hint)

    def written(self, path: Path) -> Path:
        """Returns the longest beginning of path that is written anywhere; () if there is none."""
        source = self._source(path)
        if source is not None:
            return source.written(path)
        return next((path[:n] for n in range(len(path), 0, -1) if path[:n] in self.flags), ())

    def _source(self, path: Path) -> Source | None:
        """Returns the file with the longest beginning of path, the first one of equals."""
        if self.file is None:
            return None
        sources = (Source(self.file, self.text), *self.also)
        return max(sources, key=lambda one: len(one.written(path))) if self.also else sources[0]


@functools.lru_cache(maxsize=INCLUDES_MAX + 1)
def _lines(text: str) -> Mapping[Path, int]:
    return positions(text)
