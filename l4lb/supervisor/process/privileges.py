"""Rights given up after binding, and what of them is kept.

The supervisor becomes the user of `[process] user` and keeps one right, to bind ports below 1024,
because a reload may ask for more of them; it keeps it over the exec of an upgrade (an ambient
capability). Every child gives that one up too. Where the configuration marks packets or uses
addresses of others, CAP_NET_RAW is kept as well, by supervisor, workers and checker. no_new_privs
is set with it: whatever these processes run gains nothing by set-user-id files.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import stat
from dataclasses import dataclass

from l4lb.errors import L4lbError

CAP_NET_BIND_SERVICE, CAP_NET_RAW = 10, 13  # linux/capability.h
CAPABILITY_VERSION = 0x20080522  # _LINUX_CAPABILITY_VERSION_3
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8  # linux/prctl.h
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4

_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class User:
    """Whom to become: the user, its own group, and the name its other groups are found by."""

    name: str
    uid: int
    gid: int

    @classmethod
    def named(cls, name: str) -> User:
        """Raises L4lbError if there is none, or if this process may not become it."""
        try:
            entry = pwd.getpwnam(name)
        except KeyError as error:
            raise L4lbError(
                f"[process] user: this host has no user {name}; make it (useradd --system {name})"
                " or name another"
            ) from error
        if os.geteuid() not in (0, entry.pw_uid):
            raise L4lbError(
                f"[process] user: only root can become {name}; start it as root, or as {name}, or"
                " leave the key out"
            )
        return cls(name, entry.pw_uid, entry.pw_gid)

    def owns(self, fd: int) -> None:
        """Gives an open file to it, if that is root's to give. Raises OSError."""
        if os.geteuid() == 0:
            os.fchown(fd, self.uid, self.gid)

    def closed_part(self, path: str) -> str | None:
        """The first folder on the way to path that it may not enter; None if it may go there."""
        groups = os.getgrouplist(self.name, self.gid)
        here = "/"
        for part in os.path.realpath(path).strip("/").split("/"):
            here = os.path.join(here, part)
            found = os.stat(here)
            if found.st_uid == self.uid:
                bit = stat.S_IXUSR
            else:
                bit = stat.S_IXGRP if found.st_gid in groups else stat.S_IXOTH
            if not found.st_mode & bit:
                return here
        return None


def become(user: User, *, raw: bool = False) -> None:
    """For good. raw: CAP_NET_RAW is needed later. Raises OSError; the process is then neither one
    nor the other and must end."""
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    if os.geteuid() == user.uid:
        return
    os.initgroups(user.name, user.gid)
    os.setresgid(user.gid, user.gid, user.gid)
    _prctl(PR_SET_KEEPCAPS, 1)
    os.setresuid(user.uid, user.uid, user.uid)
    kept = [CAP_NET_BIND_SERVICE, *([CAP_NET_RAW] if raw else [])]
    _keep(sum(1 << one for one in kept))
    for one in kept:
        _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, one)


def renounce(*, but_raw: bool = False) -> None:
    """No capability is left, unless this is root's; but_raw: but CAP_NET_RAW, if it is there. What
    this process executes has none. For children. Raises OSError."""
    if os.geteuid() != 0:
        _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
        _keep(_held() & 1 << CAP_NET_RAW if but_raw else 0)


def hide_memory() -> None:
    """No other process of this user can read this one's memory, and none of it is dumped."""
    _prctl(PR_SET_DUMPABLE, 0)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def _held() -> int:
    """The first 32 capabilities that are permitted."""
    sets = (_Sets * 2)()
    header = _Header(CAPABILITY_VERSION, 0)
    if _LIBC.capget(ctypes.byref(header), ctypes.byref(sets)):
        raise OSError(ctypes.get_errno(), "capget: " + os.strerror(ctypes.get_errno()))
    return int(sets[0].permitted)


def _keep(mask: int) -> None:
    """Of the first 32 capabilities those in mask, which must be held; of the others none."""
    sets = (_Sets * 2)(_Sets(mask, mask, mask), _Sets(0, 0, 0))
    header = _Header(CAPABILITY_VERSION, 0)
    if _LIBC.capset(ctypes.byref(header), ctypes.byref(sets)):
        raise OSError(ctypes.get_errno(), "capset: " + os.strerror(ctypes.get_errno()))


def _prctl(option: int, *args: int) -> None:
    words = [ctypes.c_ulong(word) for word in (*args, 0, 0, 0, 0)[:4]]
    if _LIBC.prctl(option, *words):
        raise OSError(ctypes.get_errno(), "prctl: " + os.strerror(ctypes.get_errno()))
