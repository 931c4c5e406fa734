"""Configuration into the shared table: which row each listener, pool and backend gets.

The supervisor is the only writer of these rows; children read them.
"""

from __future__ import annotations

import hashlib
import os
import resource
from dataclasses import dataclass

from l4lb.config.model import Backend, Config, Pool
from l4lb.errors import AdminError
from l4lb.native.health import set_passive
from l4lb.native.rows import Address, BackendRow, Capacities
from l4lb.native.table import Table
from l4lb.supervisor import datagrams
from l4lb.supervisor.edge import Edge

WORKER_ROWS = 64  # csrc/base/bounds.h: L4_WORKERS_MAX
MAX_SESSION_ROWS = 1 << 20  # csrc/base/bounds.h: L4_SESSIONS_MAX


def capacities(config: Config) -> Capacities:
    """The table's capacities for this configuration; a session needs two descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    by_files = max(1, soft // 2) if soft != resource.RLIM_INFINITY else MAX_SESSION_ROWS
    return Capacities(
        workers=WORKER_ROWS,
        listeners=config.limits.max_listeners,
        pools=config.limits.max_pools,
        backends=config.limits.max_backends,
        sessions=min(config.limits.max_connections, by_files, MAX_SESSION_ROWS),
        flows=datagrams.rows(config.limits),
    )


@dataclass(frozen=True)
class Bindings:
    """Which row each bound address got, in the order of the configuration."""

    listener_rows: dict[tuple[str, str], int]  # (listener name, address as text) to row
    edge: Edge
    pool_rows: dict[str, int]


def _address(backend: Backend) -> Address:
    return Address(backend.host or "", backend.port or 0, backend.path or "")


def hash_key(seed: str | None) -> bytes:
    """The 16 bytes that key every hash of a client; random without a seed."""
    if seed is None:
        return os.urandom(16)
    return hashlib.blake2b(seed.encode(), digest_size=16, person=b"l4lb hash_seed").digest()


def write(config: Config, table: Table) -> Bindings:
    """Fills an empty table from the configuration."""
    table.set_hash_key(hash_key(config.process.hash_seed))
    pool_rows: dict[str, int] = {}
    backend_row = 0
    for index, (name, pool) in enumerate(config.pools.items()):
        pool_rows[name] = index
        write_pool(table, index, pool)
        write_passive(table, index, pool)
        for backend in pool.backends:
            table.set_backend(
                backend_row,
                pool=index,
                name=backend.name,
                address=_address(backend),
                weight=backend.weight,
                max_connections=backend.max_connections,
                backup=backend.backup,
                health=initial_health(pool),
            )
            backend_row += 1
        table.publish(index)
    listener_rows: dict[tuple[str, str], int] = {}
    for name, listener in config.listeners.items():
        for bind in listener.bind:
            row = len(listener_rows)
            listener_rows[name, str(bind)] = row
            table.set_listener(
                row,
                name=name,
                bind=str(bind),
                protocol=listener.protocol,
                pool=pool_rows[listener.pool],
            )
            datagrams.write_listener(table, row, listener)
    edge = Edge(table)
    edge.configure(config, listener_rows, pool_rows)
    table.max_connections = config.limits.max_connections
    datagrams.write_limits(table, config.limits)
    table.generation = 1
    return Bindings(listener_rows, edge, pool_rows)


def write_pool(table: Table, index: int, pool: Pool) -> None:
    """A pool's row, its backends not included."""
    table.set_pool(
        index,
        name=pool.name,
        balance=pool.balance,
        when_all_down=pool.when_all_down,
        retries=pool.retries,
        connect_timeout_ms=pool.connect_timeout_ms,
        idle_timeout_ms=pool.idle_timeout_ms,
        half_closed_timeout_ms=pool.half_closed_timeout_ms,
        max_connections=pool.max_connections,
        source=pool.source or "",
        hash_key=pool.hash_key,
        hash_prefix=pool.hash_prefix,
        hash_balance_percent=pool.hash_balance_percent or 0,
        maglev_size=pool.maglev_size if pool.balance == "maglev" else 0,
        all_backups=pool.all_backups,
        slow_start_ms=pool.slow_start_ms,
        queue_length=pool.queue.length if pool.queue else 0,
        queue_timeout_ms=pool.queue.timeout_ms if pool.queue else 0,
    )
    datagrams.write_pool(table, index, pool)


def write_passive(table: Table, index: int, pool: Pool) -> None:
    """A pool's rule of passive health; without one nobody is ejected."""
    rule = pool.passive
    set_passive(
        table,
        index,
        failures=rule.failures if rule else 0,
        eject_ms=rule.eject_ms if rule else 0,
        max_eject_ms=rule.max_eject_ms if rule else 0,
        max_ejected_percent=rule.max_ejected_percent if rule else 0,
    )


def initial_health(pool: Pool) -> str:
    """A backend's health before its first check."""
    if pool.health is None or pool.health.initial == "check":
        return "unknown"
    return pool.health.initial


def find_backend(table: Table, full_name: str) -> BackendRow:
    """The backend named POOL/NAME. Raises AdminError not_found."""
    pool, _, name = full_name.partition("/")
    for row in table.backends():
        if row.pool == pool and row.name == name:
            return row
    raise AdminError("not_found", f"no backend is named {full_name}; see `l4lb admin backends`")


def pool_index(table: Table, name: str) -> int:
    """The row of a pool that exists."""
    return next(row.index for row in table.pools() if row.name == name)
