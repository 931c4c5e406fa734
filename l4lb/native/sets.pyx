# cython: language_level=3
"""Sets of networks in the shared table: built in the half that is not in force, then swapped."""

import errno
import ipaddress
import os
import socket
from typing import NamedTuple

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from l4lb.native cimport c
from l4lb.native.memory cimport host_of, put_address, put_ip
from l4lb.native.table cimport Table
from l4lb.native import rows

BLOCKS = c.L4_SET_BLOCKS
SETS_MAX = c.L4_SETS_MAX
HALF_BYTES = c.L4_SETS_BYTES
FORMAT = c.L4_CIDR_FORMAT
ALLOW, DENY = c.L4_ACCESS_ALLOW, c.L4_ACCESS_DENY


class BadLineError(ValueError):
    """A line of a list is no network. args: set, which of its lists (index), line (from 1)."""


def rebuild(Table table, changed, kept, ready=None):
    """Replaces all sets at once. `changed` maps sets to lists, from which they are built. `ready`
    maps sets to (descriptor, offset, size), from where they are copied as `build` has made them.
    Sets in `kept` stay. A list is (text, value): networks as bytes, one in each line.

    Raises BadLineError, MemoryError or OverflowError (too many): then nothing has changed.
    """
    cdef unsigned int number, size
    cdef uint64_t offset
    cdef int error, fd
    cdef _Networks networks
    c.l4_access_begin(&table.table)
    for number in kept:
        with nogil:
            error = c.l4_access_keep(&table.table, number)
        _check(error)
    for number, (fd, offset, size) in (ready or {}).items():
        with nogil:
            error = c.l4_access_read(&table.table, number, fd, offset, size)
        _check(error)
    for number, lists in changed.items():
        networks = _Networks(number, lists)
        with nogil:
            error = c.l4_access_put(&table.table, number, networks.rows, networks.count)
        _check(error)
    c.l4_access_publish(&table.table)


def build(memory, at, lists):
    """Builds a set of these lists into a writable buffer, from an offset on. Returns its bytes.
    Raises the exceptions of rebuild."""
    cdef unsigned char[::1] view = memory
    cdef size_t start = at
    cdef int64_t size
    cdef _Networks networks = _Networks(0, lists)
    if start % 64 or start >= <size_t>view.shape[0]:
        _check(-errno.ENOSPC)
    with nogil:
        size = c.l4_cidr_build(networks.rows, networks.count, &view[start], view.shape[0] - start)
    _check(<int>min(size, 0))
    return size


def release(Table table):
    """Frees the memory of the half that is not in force. Call it some time after a rebuild."""
    with nogil:
        c.l4_access_release(&table.table)


def find(Table table, number, address):
    """Returns the value of an IP address in a set; 0: it is in none of its networks."""
    cdef c.l4_addr addr
    put_address(&addr, address, 0)
    return c.l4_access_find(&table.table, number, &addr)


def set_bytes(Table table, number):
    """Returns the size of a set in force; 0: there is none."""
    return c.l4_access_bytes(&table.table, number)


def exported(Table table, number):
    """Returns a set in force as `build` makes it, in the format FORMAT; b"": there is none."""
    cdef const c.l4_cidr *found = c.l4_access_set(&table.table, number)
    return b"" if found is NULL else (<const char *>found)[:found.bytes]


cdef class _Networks:
    """Lists in the form that C reads."""
    cdef c.l4_prefix *rows
    cdef size_t count

    def __cinit__(self, number, lists):
        maximum = sum(text.count(b"\n") + 1 for text, _ in lists)
        if maximum > c.L4_PREFIXES_MAX:
            raise OverflowError(f"more than {c.L4_PREFIXES_MAX} networks")
        self.rows = <c.l4_prefix *>malloc(maximum * sizeof(c.l4_prefix) or 1)
        if self.rows is NULL:
            raise MemoryError
        cdef int64_t found
        for index, (text, value) in enumerate(lists):
            found = c.l4_cidr_parse(<const char *>text, len(text), value,
                                    self.rows + self.count, maximum - self.count)
            if found < 0:
                raise BadLineError(number, index, -found)
            self.count += found

    def __dealloc__(self):
        free(self.rows)


cdef _check(int error):
    if error:
        raise OverflowError(f"the sets of networks have no room: {os.strerror(-error)}")


# ---- blocked sources, as they are shown ----------------------------------------------------------

BLOCKS_MAX = c.L4_BLOCKS_MAX


class BlockRow(NamedTuple):
    source: str
    since_ms: int
    until_ms: int | None
    by: str
    dry_run: bool


def write_blocks(Table table, blocks, refusal):
    """Replaces the blocked sources by these BlockRows, at most BLOCKS_MAX, oldest first. refusal:
    how their clients are turned away. The sets are in force already; all listeners look from now
    on."""
    cdef c.l4_header *header = table.table.header
    cdef c.l4_block *row
    if len(blocks) > BLOCKS_MAX:
        raise OverflowError(f"more than {BLOCKS_MAX} blocks")
    for index, block in enumerate(blocks):
        row = c.l4_table_block(&table.table, index)
        network = ipaddress.ip_network(block.source)
        memset(row, 0, sizeof(row[0]))
        put_ip(&row.net, str(network.network_address))
        row.bits = network.prefixlen
        row.flags = (c.L4_BLOCK_AUTO if block.by == "auto" else 0) | \
            (c.L4_BLOCK_DRY if block.dry_run else 0)
        row.since_ms = block.since_ms
        row.until_ms = block.until_ms or 0
    header.block_verdict[1].refusal = rows.REFUSALS.index(refusal)
    header.block_verdict[0].dry_run = 1
    header.blocks = len(blocks)
    c.l4_needs_settle_all(&table.table)


def blocks(Table table):
    """Returns the blocked sources, oldest first."""
    cdef c.l4_block *row
    found = []
    for index in range(min(table.table.header.blocks, BLOCKS_MAX)):
        row = c.l4_table_block(&table.table, index)
        text = host_of(&row.net)
        if row.bits != (32 if row.net.family == socket.AF_INET else 128):
            text += f"/{row.bits}"
        found.append(BlockRow(text, row.since_ms, row.until_ms or None,
                              "auto" if row.flags & c.L4_BLOCK_AUTO else "admin",
                              bool(row.flags & c.L4_BLOCK_DRY)))
    return found
