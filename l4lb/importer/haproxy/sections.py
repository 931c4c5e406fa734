"""The sections of haproxy.cfg, and the lines that each inherits from its defaults."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field

from l4lb.importer.haproxy.words import Line

PROXIES = ("frontend", "backend", "listen")
# Sections that are read, and sections whose lines are all reported.
READ = ("global", "defaults", "resolvers", *PROXIES)
OTHERS = (
    "userlist", "peers", "mailers", "cache", "program", "ring", "http-errors", "fcgi-app",
    "log-forward", "log-profile", "crt-store", "traces", "acme", "healthcheck",
)  # fmt: skip
# Rules of a section that replace those of its defaults.
INSTEAD = ("tcp-check", "http-check")


@dataclass
class Section:
    """One section: its first line and its lines."""

    kind: str
    name: str
    line: Line
    base: Section | None = None
    lines: list[Line] = field(default_factory=list)
    used: bool = False

    @functools.cached_property
    def own(self) -> set[int]:
        """The numbers of its lines; used when all are there."""
        return {self.line.place.line, *(line.place.line for line in self.lines)}

    def effective(self) -> list[Line]:
        """Returns the lines in force: those of the defaults, then its own; `no` removes earlier
        ones."""
        inherited = self.base.effective() if self.base else []
        own = {line.words[0] for line in self.lines}
        held = [one for one in inherited if not (one.words[0] in INSTEAD and one.words[0] in own)]
        for line in self.lines:
            if line.words[0] == "no" and len(line.words) > 1:
                size = 2 if line.words[1] == "option" else 1
                held = [one for one in held if one.words[:size] != line.words[1 : 1 + size]]
            held.append(line)
        return held


def sections_of(lines: Iterable[Line], known: Iterable[str]) -> list[Section]:
    """Splits a file into sections. A section of a newer HAProxy is recognised by its first line: it
    is not indented, and is not a keyword of the previous section."""
    words = {*known, "no", "default", "enabled", "disabled"}
    found: list[Section] = []
    defaults: dict[str, Section] = {}
    last: Section | None = None
    for line in lines:
        word = line.words[0]
        begins = word in (*READ, *OTHERS) or _is_new(line, found, words)
        if not begins:
            if not found:
                found.append(Section("", "", line))
            found[-1].lines.append(line)
            continue
        made = Section(word, line.words[1] if len(line.words) > 1 else word, line)
        if word == "defaults" or word in PROXIES:
            said = line.words[line.words.index("from") + 1 :] if "from" in line.words else ()
            made.base = defaults.get(said[0]) if said else last if word != "defaults" else None
            if made.base:
                made.base.used = True
        if word == "defaults":
            defaults[made.name] = last = made
        found.append(made)
    return found


def _is_new(line: Line, found: list[Section], known: set[str]) -> bool:
    if line.indented or line.words[0] in known or line.words[0].startswith("."):
        return False
    return not found or all(one.indented for one in found[-1].lines)
