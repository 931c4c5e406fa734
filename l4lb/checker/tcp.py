"""The tcp check: does the backend accept a connection?

The connection is closed by a reset, so that thousands of checks leave no TIME_WAIT behind.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct

from l4lb.checker.types import Outcome, Settings
from l4lb.native.results import Result
from l4lb.native.rows import Address

RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, 0 s
OWN_FAULTS = frozenset(
    (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.EAGAIN)
)
RESULTS = {
    errno.ECONNREFUSED: Result.REFUSED,
    errno.ENOENT: Result.REFUSED,
    errno.ECONNRESET: Result.RESET,
    errno.EPIPE: Result.RESET,
    errno.EHOSTUNREACH: Result.UNREACHABLE,
    errno.ENETUNREACH: Result.UNREACHABLE,
    errno.ETIMEDOUT: Result.TIMEOUT,
    errno.ENOTCONN: Result.TIMEOUT,  # a unix socket whose backlog is full: see connect
}


def outcome_of(error: OSError) -> Outcome:
    """What an error of the network says about the backend; one of this host says nothing."""
    number = error.errno or 0
    result = Result.NO_SOCKET if number in OWN_FAULTS else RESULTS.get(number, Result.ERROR)
    return Outcome(result, number, os.strerror(number) if number else str(error))


async def connect(target: Address, source: str | None) -> socket.socket:
    """A connected socket that will reset when closed. Raises OSError."""
    family = (
        socket.AF_UNIX if target.path else socket.AF_INET6 if ":" in target.host else socket.AF_INET
    )
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            if source and (":" in source) == (family == socket.AF_INET6):
                sock.bind((source, 0))
        where = target.path or (target.host, target.port)
        await asyncio.get_running_loop().sock_connect(sock, where)
        if target.path:
            sock.getpeername()  # why: asyncio takes a unix socket's EAGAIN for a success
    except BaseException:
        sock.close()
        raise
    return sock


async def probe(target: Address, settings: Settings) -> Outcome:
    """Connects and lets go."""
    (await connect(target, settings.source)).close()
    return Outcome(Result.OK, 0, "connected")
