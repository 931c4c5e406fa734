"""Finds out who can read files, by their modes and those of the folders above them."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

ROOT = 0


@dataclass(frozen=True)
class Part:
    """A file or folder that not everybody can read. gid: the group that can."""

    path: str
    uid: int
    gid: int | None


def closed_parts(paths: Iterable[str]) -> tuple[Part, ...]:
    """Returns these files, folders and the folders above them that not everybody can read, each
    once. Missing ones are left out."""
    found: dict[str, Part] = {}
    for path in paths:
        for part, bits in _way(path):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                one = _closed(part, bits)
                if one is not None:
                    found[part] = one
    return tuple(found.values())


def _way(path: str) -> Iterator[tuple[str, int]]:
    """Yields the folders on the way to a path, both as written and without symbolic links, with the
    rights that are needed, as bits of others."""
    for end in dict.fromkeys((os.path.abspath(path), os.path.realpath(path))):
        folder = os.path.dirname(end)
        while folder not in ("/", ""):
            yield folder, stat.S_IXOTH
            folder = os.path.dirname(folder)
        yield end, stat.S_IROTH | stat.S_IXOTH if os.path.isdir(end) else stat.S_IROTH


def _closed(part: str, bits: int) -> Part | None:
    try:
        found = os.stat(part)
    except PermissionError:
        return Part(part, ROOT, None)
    if found.st_mode & bits == bits:
        return None
    groups = bits << 3
    is_group = found.st_mode & groups == groups and found.st_gid != ROOT
    return Part(part, found.st_uid, found.st_gid if is_group else None)


def closed_to(user: str, parts: Iterable[Part]) -> Part | None:
    """Returns the first part that this user cannot read; None: the user can read all, or is unknown
    on this host."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return None
    groups = os.getgrouplist(user, entry.pw_gid)
    return next((one for one in parts if one.uid != entry.pw_uid and one.gid not in groups), None)


def user_name(uid: int) -> str:
    """Returns a user's name, or the number of a user without a name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """Returns a group's name, or the number of a group without a name."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
