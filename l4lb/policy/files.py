"""The files of a forward proxy, users and lists: read, and read again when they change.

What cannot be read is told, and what was read before stays in force.
"""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import l4lb.log
from l4lb.errors import L4lbError
from l4lb.lists.build import NameList, build
from l4lb.policy.users import Users, load

FILES_MAX = 10_000  # of one list that are looked at
LOG = l4lb.log.get("policy")
Value = TypeVar("Value")
Signature = tuple[tuple[str, int, int, int], ...]


def signature(patterns: Iterable[str]) -> Signature:
    """Returns what tells that files or their rights have changed: of each its inode, size and time
    of change; of a folder, of the files in it too."""
    found = []
    for pattern in patterns:
        for path in sorted(glob.glob(pattern))[:FILES_MAX]:
            found += [_one(each) for each in (path, *_inside(path))]
    return tuple(found)


def _inside(path: str) -> list[str]:
    """Returns the files of a folder; none if it may not be read."""
    try:
        return sorted(entry.path for entry in os.scandir(path))[:FILES_MAX]
    except OSError:
        return []


def _one(path: str) -> tuple[str, int, int, int]:
    try:
        seen = os.stat(path)
    except OSError:
        return path, 0, 0, 0
    return path, seen.st_ino, seen.st_size, seen.st_ctime_ns


@dataclass
class Watched(Generic[Value]):
    """What was made of files. value: None if that never succeeded. name: for messages. made_s: when
    it was made, in seconds since 1970. error: why the last attempt failed; "" if it did not."""

    name: str
    patterns: tuple[str, ...]
    make: Callable[[], Value]
    close: Callable[[Value], None] = lambda _: None
    value: Value | None = None
    made_s: float = 0.0
    error: str = ""
    _seen: Signature | None = None

    def look(self, anyway: bool = False) -> bool:
        """Makes it anew if its files have changed, or anyway. Returns whether it is another one
        now. Slow."""
        now = signature(self.patterns)
        if now == self._seen and not anyway:
            return False
        self._seen = now
        try:
            made = self.make()
        except (L4lbError, OSError) as error:
            LOG.error("cannot be used; the one before stays", what=self.name, error=str(error))
            self.error = str(error)
            return False
        before, self.value = self.value, made
        self.made_s, self.error = time.time(), ""
        if before is not None:
            self.close(before)
        return True


def users_of(name: str, htpasswd: str, groups: str | None) -> Watched[Users]:
    """The users of a forward proxy."""
    patterns = tuple(glob.escape(one) for one in (htpasswd, groups) if one)
    return Watched(f"users of {name}", patterns, lambda: load(htpasswd, groups))


def list_of(name: str, given: Any) -> Watched[NameList]:
    """A list of domains (config/tables/forward.py: DomainList)."""

    def make() -> NameList:
        made = build(
            given.files, given.format, subdomains=given.subdomains, excepted=given.excepted
        )
        LOG.info("list", name=name, names=made.names, wrong=made.wrong)
        for fault in made.faults:
            LOG.warning("a line of a list is no name", name=name, line=fault)
        if made.unread and watched.value is not None:
            made.close()
            raise L4lbError(made.unread)
        if made.unread:
            LOG.error(
                "a list is not whole: rules that deny by it deny all", name=name, why=made.unread
            )
        return made

    watched = Watched(f"list {name}", tuple(given.files), make, NameList.close)
    return watched


@dataclass
class Books:
    """What rules ask for, of one forward proxy."""

    users: Watched[Users] | None
    lists: Mapping[str, Watched[NameList]]
    now: Callable[[], float] = field(default=time.time)

    def now_s(self) -> float:
        return self.now()

    def groups_of(self, user: str) -> frozenset[str]:
        users = self.users.value if self.users else None
        return users.groups_of(user) if users else frozenset()

    def place(self, name: str, host: str) -> str | None:
        """Returns where a host is in a list, as `FILE:LINE`. Slow: it reads the files."""
        lists = self.lists[name].value if name in self.lists else None
        found = lists.find(host) if lists else None
        return found.place or found.name if found else None

    def is_whole(self, name: str) -> bool:
        found = self.lists[name].value if name in self.lists else None
        return found is not None and not found.unread

    def find(self, name: str, host: str) -> str | None:
        found = self.lists[name].value if name in self.lists else None
        return found.has(host) if found else None
