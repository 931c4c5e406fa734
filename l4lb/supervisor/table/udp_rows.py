"""The number of UDP session rows, and UDP settings of backends in the shared table."""

from __future__ import annotations

import resource

from l4lb.config.model import Backend, Limits
from l4lb.native import udp
from l4lb.native.table import Table

MAX_ROWS = 1 << 20  # = L4_FLOWS_MAX


def rows(limits: Limits) -> int:
    """Returns the number of UDP session rows of each worker. A session needs a descriptor."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    by_files = soft if soft != resource.RLIM_INFINITY else MAX_ROWS
    return min(limits.max_udp_sessions, max(1, by_files), MAX_ROWS)


def write_backend(table: Table, index: int, backend: Backend) -> None:
    """Writes the server id by which QUIC connection ids name the backend."""
    udp.set_server_id(table, index, bytes.fromhex(backend.server_id or ""))
