"""UDP listeners and pools: their sockets, and what the shared table says of them.

An address gets one SO_REUSEPORT socket per worker, all bound before a worker runs and kept for the
service's life. Each client always meets the same one (steering.py): the worker that holds its
session, also while that is being replaced.
"""

from __future__ import annotations

import contextlib
import resource
import socket
from collections.abc import Mapping

from l4lb.config.model import Backend, Bind, Limits, Listener, Pool
from l4lb.config.tables.quic import Quic
from l4lb.native import udp
from l4lb.native.table import Table
from l4lb.supervisor.shape import Shape

MAX_ROWS = 1 << 20  # csrc/base/bounds.h: L4_FLOWS_MAX
BUFFER_BYTES = 4 << 20  # asked for each socket: what waits while a worker is replaced or busy
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33  # <asm-generic/socket.h>; need CAP_NET_ADMIN


def rows(limits: Limits) -> int:
    """UDP session rows of each worker: a session needs a descriptor."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    by_files = soft if soft != resource.RLIM_INFINITY else MAX_ROWS
    return min(limits.max_udp_sessions, max(1, by_files), MAX_ROWS)


def write_limits(table: Table, limits: Limits) -> None:
    """What bounds UDP sessions over all workers."""
    udp.set_limits(
        table,
        max_sessions=limits.max_udp_sessions,
        share_percent=limits.udp_descriptors_percent,
    )


def write_pool(table: Table, index: int, pool: Pool) -> None:
    """How the UDP sessions of a pool end."""
    udp.set_pool(
        table,
        index,
        idle_ms=pool.udp_idle_timeout_ms,
        requests=pool.requests,
        responses=pool.responses,
        per_datagram=pool.per_datagram,
        quic=_quic(pool),
        keep_down=pool.on_down == "keep",
        greets=pool.proxy_protocol_udp,
    )


def _quic(pool: Pool) -> tuple[int, int] | None:
    """How connection ids name the pool's backends: the configuration, the bytes of a server id."""
    if pool.hash_key != "quic_cid":
        return None
    rule = pool.quic or Quic()
    return rule.config_id, rule.server_id_length


def write_backend(table: Table, index: int, backend: Backend) -> None:
    """What names a backend in QUIC connection ids."""
    udp.set_server_id(table, index, bytes.fromhex(backend.server_id or ""))


def write_listener(table: Table, index: int, listener: Listener, pools: Mapping[str, Pool]) -> None:
    """What a UDP listener lets in, and what its pools need it to do."""
    served = [pools[name] for name in listener.pools]
    udp.set_listener(
        table,
        index,
        max_amplification=listener.max_amplification,
        max_per_source=listener.max_sessions_per_source,
        no_privileged=listener.reject_privileged_ports,
        counts=any(pool.requests or pool.per_datagram for pool in served),
        in_turn=any(pool.per_datagram for pool in served),
        quic=any(_quic(pool) is not None for pool in served),
        routes=len(served) > 1,
    )


def _one(bind: Bind, shape: Shape, *, share_port: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind.host else socket.AF_INET
    sock = shape.make(family)
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
    """Larger buffers, as far as this process may ask for them; the kernel caps the plain ones."""
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
    bind: Bind, workers: int, shape: Shape, *, alone: bool = True
) -> list[socket.socket]:
    """The sockets of one address, one a worker; alone: nobody else of this service has its port.
    Raises OSError."""
    # SO_REUSEPORT would let two services share a port in silence: first bind without it.
    if alone:
        _one(bind, shape, share_port=False).close()
    sockets: list[socket.socket] = []
    try:
        sockets.extend(_one(bind, shape, share_port=True) for _ in range(workers))
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets
