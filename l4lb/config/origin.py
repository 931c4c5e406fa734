"""Where a configuration came from, to say for each value in which file and line it stands.

A path names a value as ("pools", "web", "backends", 1, "weight"). Looking for lines costs a scan
of the whole text, so nobody does it before the first problem.
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
    """A path as people read it: pools.web.backends[1].weight, quoted where TOML must quote."""
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
    """Something wrong with the value at a path, before anyone knows which line that is."""

    path: Path
    message: str
    hint: str | None = None


@dataclass(frozen=True)
class Source:
    """One file of a configuration and its text."""

    file: str
    text: str = field(repr=False)

    def written(self, path: Path) -> Path:
        """The longest beginning of path that this file has; () if it has none."""
        known = _lines(self.text)
        return next((path[:n] for n in range(len(path), 0, -1) if path[:n] in known), ())

    def line(self, path: Path) -> int:
        """Where it has the longest beginning of path."""
        return _lines(self.text).get(self.written(path), 1)

    def place(self, path: Path) -> str:
        """FILE:LINE of it."""
        return f"{self.file}:{self.line(path)}"


@dataclass(frozen=True)
class Origin:
    """A file and its text (valid TOML) with those that it includes, or the flags that stand for
    some paths, or nothing."""

    file: str | None = None
    text: str = field(default="", repr=False)
    flags: Mapping[Path, str] = field(default_factory=dict)
    also: tuple[Source, ...] = ()

    def problem(self, finding: Finding) -> Problem:
        """The finding with its place: that of the value or of the nearest thing around it."""
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
        """The longest beginning of path that somebody wrote; () if there is none."""
        source = self._source(path)
        if source is not None:
            return source.written(path)
        return next((path[:n] for n in range(len(path), 0, -1) if path[:n] in self.flags), ())

    def _source(self, path: Path) -> Source | None:
        """The file that has the longest beginning of path, the first of equals."""
        if self.file is None:
            return None
        sources = (Source(self.file, self.text), *self.also)
        return max(sources, key=lambda one: len(one.written(path))) if self.also else sources[0]


@functools.lru_cache(maxsize=INCLUDES_MAX + 1)
def _lines(text: str) -> Mapping[Path, int]:
    return positions(text)
