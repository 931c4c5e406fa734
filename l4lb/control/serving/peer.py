"""Who is at the other end of the admin socket, by the kernel's word; pure but for asking it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psutil

SO_PEERGROUPS = 59  # asm-generic/socket.h, Linux 4.13; Python has no name for it
GROUPS_MAX = 256  # Python's getsockopt takes no more than 1 KiB
CREDENTIALS = struct.Struct("3i")
USERS_MAX = 256
NAME_TIMEOUT_S = 1.0


@dataclass(frozen=True)
class Peer:
    """A process when it connected; groups holds its own group and its supplementary ones."""

    pid: int
    uid: int
    groups: frozenset[int]

    @classmethod
    def of(cls, sock: socket.socket) -> Peer:
        """The peer of a connected unix socket. Raises OSError."""
        packed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        pid, uid, gid = CREDENTIALS.unpack(packed)
        more = b""
        # A peer in more groups than fit, or an older kernel: only its own group counts.
        with contextlib.suppress(OSError):
            more = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, GROUPS_MAX * 4)
        return cls(pid, uid, frozenset({gid, *struct.unpack(f"{len(more) // 4}I", more)}))


class Users:
    """Names of users by their numbers. Where the host asks a directory that does not answer, a
    name is missing and nobody waits for long."""

    def __init__(self) -> None:
        self._looks: dict[int, asyncio.Future[str]] = {}
        self._thread = ThreadPoolExecutor(1)

    async def name(self, uid: int) -> str:
        """ "" where it is not known."""
        if len(self._looks) >= USERS_MAX:
            self._looks.clear()
        wait_s = 0.0  # who asks later does not wait for what was late before
        if uid not in self._looks:
            wait_s, loop = NAME_TIMEOUT_S, asyncio.get_running_loop()
            self._looks[uid] = loop.run_in_executor(self._thread, _name, uid)
        done, _ = await asyncio.wait((self._looks[uid],), timeout=wait_s)
        return done.pop().result() if done else ""


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OSError):
        return ""


async def by(peer: Peer, users: Users) -> dict[str, Any]:
    """Whom the record of changes names."""
    return {"via": "admin", "user": await users.name(peer.uid), "uid": peer.uid, "pid": peer.pid}


def may_ask(peer: Peer) -> bool:
    """Root, this service's user, and members of its group may."""
    return peer.uid in (0, os.geteuid()) or os.getegid() in peer.groups


def is_own(peer: Peer, supervisor: int) -> bool:
    """Whether the peer is a process of this service: a child of the supervisor. None of them is an
    operator; a worker that asks is one that an attacker has taken over."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(peer.pid).ppid() == supervisor
    return False
