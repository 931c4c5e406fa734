"""Where a configuration came from, to say for each value in which file and line it stands.

A path names a value as ("pools", "web", "backends", 1, "weight"). Looking for lines costs a scan
of the whole text, so nobody does it before the first problem.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from l4lb.config.position import Path, positions
from l4lb.errors import Problem

BARE = re.compile(r"[A-Za-z0-9_-]+")
V = TypeVar("V")


def path_text(path: Path) -> str:
    """A path as people read it: pools.web.backends[1].weight, quoted where TOML must quote."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        if not BARE.fullmatch(part):
            clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in part)
            part = '"' + clean.replace("\\", "\\\\").replace('"', '\\"') + '"'
        text += f".{part}" if text else part
    return text


@dataclass(frozen=True)
class Origin:
    """A file and its text (valid TOML), or the flags that stand for some paths, or nothing."""

    file: str | None = None
    text: str = field(default="", repr=False)
    flags: Mapping[Path, str] = field(default_factory=dict)

    def problem(self, path: Path, message: str, hint: str | None = None) -> Problem:
        """A problem of the value at path, or of the nearest thing above it that is written."""
        if self.file is not None:
            line = _nearest(_lines(self.text), path) or 1
            return Problem(self.file, line, path_text(path), message, hint)
        flag = _nearest(self.flags, path)
        return Problem(None, None, flag or path_text(path), message, hint)


@functools.lru_cache(maxsize=1)
def _lines(text: str) -> Mapping[Path, int]:
    return positions(text)


def _nearest(known: Mapping[Path, V], path: Path) -> V | None:
    for length in range(len(path), 0, -1):
        if path[:length] in known:
            return known[path[:length]]
    return None
