"""Gives up rights after binding, and keeps the few that are needed later.

The supervisor becomes the user of `[process] user`. It keeps CAP_NET_BIND_SERVICE as an ambient
capability, over the exec of an upgrade too: a reload may bind ports below 1024. Every child gives
up that capability. If the configuration marks packets or uses addresses of others, then supervisor,
workers and checker keep CAP_NET_RAW. no_new_privs is set: set-user-id files give these processes
and their children no rights.
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
    """The user to become: its name, uid and primary group. The name finds its supplementary
    groups."""

    name: str
    uid: int
    gid: int

    @classmethod
    def named(cls, name: str) -> User:
        """Returns the user of that name. Raises L4lbError if there is none, or if this process may
        not become it."""
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
        """Makes the user the owner of an open file, if this process is root. Raises OSError."""
        if os.geteuid() == 0:
            os.fchown(fd, self.uid, self.gid)

    def closed_part(self, path: str) -> str | None:
        """Returns the first folder on the way to path that the user may not enter; None if there is
        none."""
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
    """Becomes the user for good. raw: CAP_NET_RAW is kept for later. Raises OSError; the process
    then has a mixture of rights and must end."""
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
    """Gives up all capabilities, unless this process is root's. but_raw: keeps CAP_NET_RAW, if it
    is there. Programs that this process executes have no capability. For children. Raises
    OSError."""
    if os.geteuid() != 0:
        _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
        _keep(_held() & 1 << CAP_NET_RAW if but_raw else 0)


def hide_memory() -> None:
    """Keeps other processes of this user from reading this one's memory, and the kernel from
    dumping it."""
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
    """Returns the permitted ones of the first 32 capabilities, as bits."""
    sets = (_Sets * 2)()
    header = _Header(CAPABILITY_VERSION, 0)
    if _LIBC.capget(ctypes.byref(header), ctypes.byref(sets)):
        raise OSError(ctypes.get_errno(), "capget: " + os.strerror(ctypes.get_errno()))
    return int(sets[0].permitted)


def _keep(mask: int) -> None:
    """Keeps those of the first 32 capabilities whose bits are in mask, and no others. They must be
    permitted."""
    sets = (_Sets * 2)(_Sets(mask, mask, mask), _Sets(0, 0, 0))
    header = _Header(CAPABILITY_VERSION, 0)
    if _LIBC.capset(ctypes.byref(header), ctypes.byref(sets)):
        raise OSError(ctypes.get_errno(), "capset: " + os.strerror(ctypes.get_errno()))


def _prctl(option: int, *args: int) -> None:
    words = [ctypes.c_ulong(word) for word in (*args, 0, 0, 0, 0)[:4]]
    if _LIBC.prctl(option, *words):
        raise OSError(ctypes.get_errno(), "prctl: " + os.strerror(ctypes.get_errno()))
