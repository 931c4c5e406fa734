"""The sockets of UDP listeners.

An address has one SO_REUSEPORT socket for each worker. Each is bound before its worker reads it,
and kept while the configuration and the number of workers ask for them. A client always meets one
of them (udp_filter.py): that of the worker with its session, also while this worker is being
replaced.
"""

from __future__ import annotations

import contextlib
import socket

from l4lb.config.model import Bind
from l4lb.supervisor.sockets.options import SocketOptions

BUFFER_BYTES = 4 << 20  # buffers of each socket: datagrams wait there for a busy worker
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33  # <asm-generic/socket.h>; need CAP_NET_ADMIN


def _one(bind: Bind, options: SocketOptions, *, share_port: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind.host else socket.AF_INET
    sock = options.make(family)
    try:
        if share_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _enlarge(sock)
        sock.bind((bind.host, bind.port))
    except OSError:
        sock.close()
        raise
    return sock


def _enlarge(sock: socket.socket) -> None:
    """Enlarges the buffers as far as this process may. The kernel caps the unforced options."""
    for forced, plain in (
        (SO_RCVBUFFORCE, socket.SO_RCVBUF),
        (SO_SNDBUFFORCE, socket.SO_SNDBUF),
    ):
        try:
            sock.setsockopt(socket.SOL_SOCKET, forced, BUFFER_BYTES)
        except OSError:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, plain, BUFFER_BYTES)


def open_sockets(
    bind: Bind, workers: int, options: SocketOptions, *, alone: bool = True
) -> list[socket.socket]:
    """Opens the sockets of one address, one for each worker. alone: no other socket of this service
    has its port. Raises OSError."""
    # SO_REUSEPORT would let two services share a port in silence: first bind without it.
    if alone:
        _one(bind, options, share_port=False).close()
    sockets: list[socket.socket] = []
    try:
        sockets.extend(_one(bind, options, share_port=True) for _ in range(workers))
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets
