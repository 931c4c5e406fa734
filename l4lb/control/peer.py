"""Who is at the other end of the admin socket, by the kernel's word; pure but for asking it."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from dataclasses import dataclass

SO_PEERGROUPS = 59  # asm-generic/socket.h, Linux 4.13; Python has no name for it
GROUPS_MAX = 256  # Python's getsockopt takes no more than 1 KiB
CREDENTIALS = struct.Struct("3i")


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


def may_ask(peer: Peer) -> bool:
    """Root, this service's user, and members of its group may."""
    return peer.uid in (0, os.geteuid()) or os.getegid() in peer.groups
