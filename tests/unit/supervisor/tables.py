"""A small shared table filled by hand, for every unit test that needs a real one."""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterator, Mapping

from l4lb.native import cache, settings
from l4lb.native.rows import Address
from l4lb.native.table import Table

CAPACITIES = (4, 4, 64, 64, 64)


def table_of(pools: Mapping[str, Mapping[str, Address]]) -> Table:
    """Returns a table with these pools of backends (name to address), all ready, of unknown
    health."""
    table = Table(CAPACITIES)
    row = 0
    for index, (pool, backends) in enumerate(pools.items()):
        table.set_pool(
            index,
            name=pool,
            balance="round_robin",
            when_all_down="refuse",
            retries=2,
            connect_timeout_ms=2_000,
            idle_timeout_ms=600_000,
            half_closed_timeout_ms=300_000,
        )
        for name, address in backends.items():
            put_backend(table, row, pool=index, name=name, address=address)
            row += 1
        table.publish(index)
    table.generation = 1
    settings.put(table, "table", 0, limits_max_connections=100)
    return table


def put_backend(
    table: Table, row: int, *, pool: int = 0, name: str, address: Address, health: str = "unknown"
) -> None:
    """Gives a row to a backend of weight 1."""
    table.set_backend(
        row,
        pool=pool,
        name=name,
        address=address,
        weight=1,
        max_connections=0,
        backup=False,
        health=health,
    )


def closed_port(n: int = 1) -> Address:
    """Returns an address of which only the text matters."""
    return Address("127.0.0.1", n)


@contextlib.contextmanager
def cache_in(table: Table, name: str = "pages") -> Iterator[int]:
    """Gives a table an empty cache. Yields the file with its memory."""
    size = -(-cache.memory_bytes(4 << 20, 1, 1 << 16) // mmap.PAGESIZE) * mmap.PAGESIZE
    fd = os.memfd_create("cache-of-a-test")
    try:
        os.ftruncate(fd, size)
        with mmap.mmap(fd, size) as area:
            cache.make(area, 4 << 20, 1, 1 << 16)
        cache.put(table, 0, name=name, at=0, size=size, used=1)
        yield fd
    finally:
        os.close(fd)
