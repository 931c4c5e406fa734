"""What the shared table says of UDP listeners, pools and backends."""

from __future__ import annotations

import resource
from collections.abc import Mapping

from l4lb.config.model import Backend, Limits, Listener, Pool
from l4lb.config.tables.quic import Quic
from l4lb.native import udp
from l4lb.native.table import Table

MAX_ROWS = 1 << 20  # = L4_FLOWS_MAX


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
