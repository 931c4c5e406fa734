"""The rows of the shared table: which row each listener, pool and backend gets, and writing them.

Only the supervisor writes their configuration. Its children read it, and write what they count and
find beside it.
"""

from __future__ import annotations

import hashlib
import os
import resource
import secrets
from collections.abc import Collection, Iterable, Iterator, KeysView, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from l4lb.config.diff import Change, compare
from l4lb.config.model import Backend, Config, Pool
from l4lb.config.plain import to_plain
from l4lb.config.tables.forward import OUTSIDE, pool_name
from l4lb.errors import AdminError
from l4lb.native import egress, row_reuse, settings, udp
from l4lb.native.rows import Address, BackendRow, Capacities
from l4lb.native.table import Table
from l4lb.supervisor.table import row_settings, udp_rows
from l4lb.supervisor.table.listener_policy import ListenerPolicy
from l4lb.supervisor.table.row_allocator import RowAllocator

WORKER_ROWS = 66  # = L4_WORKERS_MAX: the last is the book, the supervisor's own counters
STICKY_WAYS = 16  # = L4_STICKY_WAYS
MAX_SESSION_ROWS = 1 << 20  # = L4_SESSIONS_MAX

_Key = TypeVar("_Key")


def capacities(config: Config) -> Capacities:
    """Returns the table's capacities for this configuration. A session needs two descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    by_files = max(1, soft // 2) if soft != resource.RLIM_INFINITY else MAX_SESSION_ROWS
    return Capacities(
        workers=WORKER_ROWS,
        listeners=config.limits.max_listeners,
        pools=config.limits.max_pools,
        backends=config.limits.max_backends,
        sessions=min(config.limits.max_connections, by_files, MAX_SESSION_ROWS),
        flows=udp_rows.rows(config.limits),
        sticky=-(-config.limits.max_sticky // STICKY_WAYS) * STICKY_WAYS,
    )


@dataclass(frozen=True)
class Bindings:
    """The rows of all bound addresses and of all pools."""

    listener_rows: Mapping[tuple[str, str], int]  # (listener name, address as text) to row
    pool_rows: Mapping[str, int]


def _address(backend: Backend) -> Address:
    return Address(backend.host or "", backend.port or 0, backend.path or "")


def hash_key(seed: str | None) -> bytes:
    """Returns the 16-byte key of all hashes of clients. It is random without a seed."""
    if seed is None:
        return os.urandom(16)
    return hashlib.blake2b(seed.encode(), digest_size=16, person=b"l4lb hash_seed").digest()


class Membership:
    """The rows of listeners, pools and backends: which row each has, and writing them."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.policy = ListenerPolicy(table)
        size = table.capacities
        self.pools: RowAllocator[str] = RowAllocator(
            size.pools,
            is_idle=lambda row: row_reuse.pool_is_idle(table, row),
            recycle=lambda _: None,
        )
        self.backends: RowAllocator[tuple[str, str]] = RowAllocator(
            size.backends,
            is_idle=lambda row: row_reuse.backend_is_idle(table, row),
            recycle=lambda row: row_reuse.fold_backend(table, row),
        )
        self.listeners: RowAllocator[tuple[str, str]] = (
            RowAllocator(  # listener's name, address as text
                size.listeners,
                is_idle=self._listener_is_idle,
                recycle=self._recycle_listener,
            )
        )

    def start(self, config: Config, known_key: bytes = b"") -> None:
        """Fills an empty table. known_key: the old program's hash key, for a configuration without
        a seed. Raises L4lbError."""
        seed = config.process.hash_seed
        udp.set_seed(self._table, secrets.randbits(32))
        self._table.set_hash_key(known_key if known_key and not seed else hash_key(seed))
        self.change(config, compare({}, to_plain(config)), now_ms=0)

    @property
    def bindings(self) -> Bindings:
        return Bindings(self.listeners.live, self.pools.live)

    def check_room(self, before: Config, after: Config) -> None:
        """Raises AdminError if the table has too few rows for everything that is new."""
        new = set(after.pools) - set(self.pools.live)
        if not self.pools.has_room(new):
            raise _no_room("pools")
        members = {(name, one.name) for name, pool in after.pools.items() for one in pool.backends}
        if not self.backends.has_room(members - set(self.backends.live)):
            raise _no_room("backends")
        if not self.listeners.has_room(_binds(after) - _binds(before)):
            raise _no_room("listeners")

    def change(self, after: Config, changes: Sequence[Change], now_ms: int) -> None:
        """Writes another configuration into the table. check_room was called before. Raises
        L4lbError if a list of networks cannot be read; then nothing in use has changed."""
        changes = [other for one in changes for other in _in_table(one)]
        pools = [one for one in changes if one.kind == "pool"]
        backends = [one for one in changes if one.kind == "backend"]
        new = [one.name for one in pools if one.action == "added"]
        # New pools and backends come first: no client is sent there before listeners name them.
        for name in new:
            self.pools.take(name)
        self._write(after, set(new), [one for one in backends if _pool_of(one) in new], 0)
        bound = _binds(after) - self.listeners.live.keys()
        listeners = {key: self._row(key) for key in _binds(after)}
        try:
            self.policy.configure(after, listeners, self.pools.live)
        except BaseException:
            self._undo(new, bound)
            raise
        for key in set(self.listeners.live) - set(listeners):
            self._table.clear_listener(self.listeners.give(key))
        changed = {one.name for one in pools if one.action == "changed"}
        rest = [one for one in backends if _pool_of(one) not in new]
        self._write(after, changed, rest, now_ms)
        for one in pools:
            if one.action == "removed":
                self._table.clear_pool(self.pools.give(one.name))
        settings.put(self._table, "table", 0, **row_settings.of_table(after))
        self._table.generation += 1

    def changes_to(self, config: Config) -> list[Change]:
        """Returns the changes that give the rows this configuration, however an earlier change has
        left them."""
        pools = _actions(self.pools.live, config.pools)
        members = {
            (name, one.name): None for name, pool in config.pools.items() for one in pool.backends
        }
        return [Change("pool", name, action) for name, action in pools] + [
            Change("backend", "/".join(key), action)
            for key, action in _actions(self.backends.live, members)
        ]

    def _listener_is_idle(self, row: int) -> bool:
        return row_reuse.listener_is_idle(self._table, row) and not self.policy.is_head(row)

    def _recycle_listener(self, row: int) -> None:
        row_reuse.fold_listener(self._table, row)
        self.policy.recycled(row)

    def _row(self, key: tuple[str, str]) -> int:
        return self.listeners[key] if key in self.listeners else self.listeners.take(key)[0]

    def _undo(self, pools: Collection[str], listeners: Collection[tuple[str, str]]) -> None:
        """Gives back the rows of everything that was new and is not kept."""
        for key in listeners:
            self._table.clear_listener(self.listeners.give(key))
        for key in [key for key in self.backends.live if key[0] in pools]:
            row_reuse.retire_backend(self._table, self.backends.give(key))
        for name in pools:
            self._table.clear_pool(self.pools.give(name))

    def _write(
        self, config: Config, pools: set[str], backends: Sequence[Change], now_ms: int
    ) -> None:
        removed = [one for one in backends if one.action == "removed"]
        for name in pools:
            write_pool(self._table, self.pools[name], config.pools[name])
        for one in backends:
            if one.action != "removed":
                _, _, name = one.name.partition("/")
                self._write_backend(config, _pool_of(one), name, one.action, now_ms)
        self._publish(pools | {_pool_of(one) for one in backends})
        # why after that: a pool whose backends are all replaced has some at every moment.
        for one in removed:
            pool, _, name = one.name.partition("/")
            row_reuse.retire_backend(self._table, self.backends.give((pool, name)))
        self._publish({_pool_of(one) for one in removed})

    def _publish(self, pools: Iterable[str]) -> None:
        for name in pools:
            if name in self.pools:
                self._table.publish(self.pools[name])

    def _write_backend(
        self, config: Config, pool: str, name: str, action: str, now_ms: int
    ) -> None:
        key = (pool, name)
        backend = next(one for one in config.pools[pool].backends if one.name == name)
        row, known = (self.backends[key], True) if key in self.backends else self.backends.take(key)
        values: dict[str, Any] = {
            "pool": self.pools[pool],
            "address": _address(backend),
            "weight": backend.weight,
            "max_connections": backend.max_connections,
            "backup": backend.backup,
        }
        if known:
            row_reuse.change_backend(self._table, row, **values)
        else:
            health = initial_health(config.pools[pool])
            self._table.set_backend(row, name=name, health=health, **values)
        udp_rows.write_backend(self._table, row, backend)
        if action == "added" and now_ms:
            self._table.set_state(row, "ready")
            row_reuse.start_slowly(self._table, row, now_ms)


def _in_table(change: Change) -> list[Change]:
    """Returns what a change is in the table: a forward proxy is a pool there, with one backend."""
    if change.kind != "forward":
        return [change]
    pool = pool_name(change.name)
    backend = [] if change.action == "changed" else [f"{pool}/{OUTSIDE}"]
    return [
        Change("pool", pool, change.action),
        *(Change("backend", one, change.action) for one in backend),
    ]


def _actions(live: Collection[_Key], wanted: Collection[_Key]) -> Iterator[tuple[_Key, str]]:
    """Yields for each key what must be done so that the wanted rows exist."""
    for key in wanted:
        yield key, "changed" if key in live else "added"
    for key in list(live):
        if key not in wanted:
            yield key, "removed"


def _pool_of(change: Change) -> str:
    return change.name.partition("/")[0]


def _binds(config: Config) -> KeysView[tuple[str, str]]:
    """Returns listener and address of everything that is bound, in the order of the
    configuration."""
    return {
        (name, str(at)): None for name, one in config.listeners.items() for at in one.bind
    }.keys()


def _no_room(what: str) -> AdminError:
    return AdminError(
        "no_room",
        f"the table has no row left for more {what}: raise limits.max_{what} and upgrade or"
        " restart, or wait until sessions of removed ones have ended",
    )


def write_pool(table: Table, index: int, pool: Pool) -> None:
    """Writes a pool's row, without its backends."""
    table.set_pool(index, name=pool.name, **row_settings.of_pool(pool))
    egress.set_pool(
        table,
        index,
        sources=pool.source,
        transparent=pool.transparent,
        options=pool.options,
    )


def initial_health(pool: Pool) -> str:
    """Returns a backend's health before its first check."""
    if pool.health is None or pool.health.initial == "check":
        return "unknown"
    return pool.health.initial


def find_backend(table: Table, full_name: str) -> BackendRow:
    """Returns the backend named POOL/NAME. Raises AdminError not_found."""
    pool, _, name = full_name.partition("/")
    for row in table.backends():
        if row.pool == pool and row.name == name:
            return row
    raise AdminError("not_found", f"no backend is named {full_name}; see `l4lb admin backends`")


def pool_index(table: Table, name: str) -> int:
    """Returns the row of a pool, which must exist."""
    return next(row.index for row in table.pools() if row.name == name)
