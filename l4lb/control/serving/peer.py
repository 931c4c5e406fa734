"""The process at the other end of the admin socket, as the kernel reports it."""

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
    """A process at the time when it connected. groups: its own group and its supplementary
    groups."""

    pid: int
    uid: int
    groups: frozenset[int]

    @classmethod
    def of(cls, sock: socket.socket) -> Peer:
        """Returns the peer of a connected unix socket. Raises OSError."""
        packed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        pid, uid, gid = CREDENTIALS.unpack(packed)
        more = b""
        # Only the peer's own group counts if it is in more groups than fit, or on an older kernel.
        with contextlib.suppress(OSError):
            more = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, GROUPS_MAX * 4)
        return cls(pid, uid, frozenset({gid, *struct.unpack(f"{len(more) // 4}I", more)}))


class Users:
    """Names of users by their uid. If the host asks a directory service that does not answer, the
    name is missing and nobody waits for longer than NAME_TIMEOUT_S."""

    def __init__(self) -> None:
        self._looks: dict[int, asyncio.Future[str]] = {}
        self._thread = ThreadPoolExecutor(1)

    async def name(self, uid: int) -> str:
        """Returns the user's name, or "" if it is unknown."""
        if len(self._looks) >= USERS_MAX:
            self._looks.clear()
        wait_s = 0.0  # only the first client of a user waits for the look-up
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
    """Returns the asker as the record of changes names it."""
    return {"via": "admin", "user": await users.name(peer.uid), "uid": peer.uid, "pid": peer.pid}


def may_ask(peer: Peer) -> bool:
    """Returns whether the peer may ask: root, the service's user and members of its group may."""
    return peer.uid in (0, os.geteuid()) or os.getegid() in peer.groups


def is_own(peer: Peer, supervisor: int) -> bool:
    """Returns whether the peer is a child of the supervisor. No process of the service is an
    operator: a worker that asks is in an attacker's hands."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(peer.pid).ppid() == supervisor
    return False
