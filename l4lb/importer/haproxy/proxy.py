"""The state of one frontend, backend or listen section while its lines are read."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from l4lb.importer.draft import Draft, Path, Place, Rank, Table, name_of
from l4lb.importer.haproxy.sections import Section
from l4lb.importer.haproxy.words import Line
from l4lb.importer.quantities import natural


@dataclass
class World:
    """Settings for all proxies: the global section, and name servers."""

    draft: Draft
    folder: str  # folder of relative paths
    bind_tls: dict[str, Line] = field(default_factory=dict)  # ssl-default-bind-*, by option
    server_tls: dict[str, Line] = field(default_factory=dict)
    verify_servers: bool = True
    bases: dict[str, str] = field(default_factory=dict)  # crt-base, ca-base
    resolvers: dict[str, Table] = field(default_factory=dict)
    caches: dict[str, Table] = field(default_factory=dict)  # that rules may use
    rates: dict[str, int] = field(default_factory=dict)  # those of any stick-table
    log: Line | None = None
    jitter: str = ""

    def path(self, base: str, path: str) -> str:
        """Returns a file's path: below crt-base or ca-base if it is relative, else beside
        haproxy.cfg."""
        return os.path.join(self.folder, self.bases.get(base, ""), path)


@dataclass
class Proxy:
    """One section. Its lines fill this object; tables are made from it when all lines are read."""

    world: World
    section: Section
    line: Line  # the present line
    listener: Table = field(init=False)
    pool: Table = field(init=False)
    check: Table = field(init=False)
    times: dict[str, tuple[str, Place]] = field(default_factory=dict)
    binds: list[Line] = field(default_factory=list)
    servers: list[Line] = field(default_factory=list)
    server_words: list[str] = field(default_factory=list)
    acls: dict[str, list[Line]] = field(default_factory=dict)
    rules: list[Line] = field(default_factory=list)
    uses: list[Line] = field(default_factory=list)
    picks: list[Line] = field(default_factory=list)  # use-server
    talks: list[Line] = field(default_factory=list)  # tcp-check, http-check
    rates: dict[str, int] = field(default_factory=dict)  # of a stick-table: period in ms
    target: Line | None = None  # default_backend
    sticky: Line | None = None  # the table for sticky sessions
    http: bool = False  # mode http
    forwards: Line | None = None  # option forwardfor
    believes: Line | None = None  # a test of what proxies say of their clients
    monitor: Line | None = None  # monitor-uri
    cookie: Line | None = None  # the cookie that names a server
    balance: Line | None = None
    hashes: Line | None = None  # hash-type
    disabled: bool = False
    reached: bool = False  # true if its rules are those of a listener
    stats: Line | None = None

    def __post_init__(self) -> None:
        place = self.section.line.place
        self.listener, self.pool, self.check = Table(place), Table(place), Table(place)

    @property
    def front(self) -> bool:
        return self.section.kind in ("frontend", "listen", "defaults")

    @property
    def back(self) -> bool:
        return self.section.kind in ("backend", "listen", "defaults")

    @property
    def place(self) -> Place:
        """The first line of the section."""
        return self.section.line.place

    @property
    def name(self) -> str:
        return name_of(self.section.name)

    @property
    def where(self) -> Path:
        """The table that most of its lines are about."""
        return ("pools" if self.back else "listeners", self.name)

    def leave(self, rank: Rank, why: str, line: Line | None = None) -> None:
        """Reports a line, at this section's table if the line belongs to the section."""
        line = line or self.line
        own = line.place.line in self.section.own
        self.world.draft.leave(line.place, rank, why, self.where if own else ())

    def put(self, table: Table, key: str, value: Any) -> None:
        """Sets a key, from the present line."""
        table.put(key, value, self.line.place)

    def time(self, table: Table, key: str, text: str, kind: str = "") -> None:
        """Sets a time, from the present line; raises ValueError."""
        value, moved = natural(text, "ms", kind or key)
        if moved:
            self.leave(Rank.DIFFERENT, moved)
        self.put(table, key, value)


Handler = Callable[[Proxy, Line], None]
