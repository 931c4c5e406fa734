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

from l4lb.config.bounds import SHOWN_MAX
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
class Origin:
    """A file and its text (valid TOML), or the flags that stand for some paths, or nothing."""

    file: str | None = None
    text: str = field(default="", repr=False)
    flags: Mapping[Path, str] = field(default_factory=dict)

    def problem(self, finding: Finding) -> Problem:
        """The finding with its place: that of the value or of the nearest thing around it."""
        path, message, hint = finding
        near = self.written(path)
        if self.file is not None:
            line = _lines(self.text).get(near, 1)
            return Problem(self.file, line, path_text(path), message, hint)
        key = path_text(path)
        if near in self.flags:
            rest = path_text(path[len(near) :])
            key = f"{self.flags[near]}: {rest}" if rest else self.flags[near]
        return Problem(None, None, key, message, hint)

    def written(self, path: Path) -> Path:
        """The longest beginning of path that somebody wrote; () if there is none."""
        known = self.flags if self.file is None else _lines(self.text)
        return next((path[:n] for n in range(len(path), 0, -1) if path[:n] in known), ())


@functools.lru_cache(maxsize=1)
def _lines(text: str) -> Mapping[Path, int]:
    return positions(text)
