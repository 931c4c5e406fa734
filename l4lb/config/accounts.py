"""Users and groups of this host, by name or number."""

from __future__ import annotations

import grp
import pwd

NUMBER_MAX = (1 << 32) - 2  # the number above means "unchanged" to chown(2)


def number(kind: str, name: str) -> int | None:
    """The number of an "owner" or a "group"; None: this host has none of that name."""
    if name.isascii() and name.isdecimal():
        return int(name) if len(name) <= 10 and int(name) <= NUMBER_MAX else None
    try:
        return pwd.getpwnam(name).pw_uid if kind == "owner" else grp.getgrnam(name).gr_gid
    except KeyError:
        return None
