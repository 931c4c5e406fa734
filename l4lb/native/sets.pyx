# cython: language_level=3
"""Sets of networks into the shared table: built in the half that is not in force, then swapped."""

import errno
import ipaddress
import os
import socket
import time
from typing import NamedTuple

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from l4lb.native cimport c_edge as e
from l4lb.native.c_l4 cimport l4_addr
from l4lb.native.table cimport Table, _put_address

BLOCKS = e.L4_SET_BLOCKS
SETS_MAX = e.L4_SETS_MAX
HALF_BYTES = e.L4_SETS_BYTES
FORMAT = e.L4_CIDR_FORMAT
ALLOW, DENY = e.L4_ACCESS_ALLOW, e.L4_ACCESS_DENY


class BadLineError(ValueError):
    """A line of a list is no network; args: set, which of its lists (index), line (from 1)."""


def rebuild(Table table, changed, kept, ready=None):
    """Replaces all sets at once: those of `changed`, a map from set to lists, are built anew; those
    of `ready`, a map from set to (descriptor, offset, size), are copied from where `build` has made
    them; those of `kept` stay. A list is (text, value): networks, one a line, as bytes.

    Raises BadLineError, MemoryError or OverflowError (too many): then nothing has changed."""
    cdef unsigned int number, size
    cdef uint64_t offset
    cdef int error, fd
    cdef _Networks networks
    e.l4_access_begin(&table.table)
    for number in kept:
        with nogil:
            error = e.l4_access_keep(&table.table, number)
        _check(error)
    for number, (fd, offset, size) in (ready or {}).items():
        with nogil:
            error = e.l4_access_read(&table.table, number, fd, offset, size)
        _check(error)
    for number, lists in changed.items():
        networks = _Networks(number, lists)
        with nogil:
            error = e.l4_access_put(&table.table, number, networks.rows, networks.count)
        _check(error)
    e.l4_access_publish(&table.table)


def build(memory, at, lists):
    """Builds a set of these lists into a writable buffer, from an offset on; returns its bytes.

    Raises as rebuild does."""
    cdef unsigned char[::1] view = memory
    cdef size_t start = at
    cdef int64_t size
    cdef _Networks networks = _Networks(0, lists)
    if start % 64 or start >= <size_t>view.shape[0]:
        _check(-errno.ENOSPC)
    with nogil:
        size = e.l4_cidr_build(networks.rows, networks.count, &view[start], view.shape[0] - start)
    _check(<int>min(size, 0))
    return size


def release(Table table):
    """Gives the memory of the half that is not in force back: some time after a rebuild."""
    with nogil:
        e.l4_access_release(&table.table)


def find(Table table, number, address):
    """The value of an IP address in a set; 0: none."""
    cdef l4_addr addr
    _put_address(&addr, address, 0)
    return e.l4_access_find(&table.table, number, &addr)


def finds(Table table, number, addresses, *, in_turn):
    """Looks packed addresses (4 or 16 bytes each) up; how many have a value, and the seconds."""
    cdef uint32_t count = len(addresses), set_number = number, found
    cdef bint waits = in_turn
    cdef l4_addr *addrs = <l4_addr *>calloc(count or 1, sizeof(l4_addr))
    if addrs is NULL:
        raise MemoryError
    try:
        for index, packed in enumerate(addresses):
            addrs[<uint32_t>index].family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
            memcpy(addrs[<uint32_t>index].ip, <const char *>packed, min(len(packed), 16))
        started = time.perf_counter()
        with nogil:
            found = e.l4_bulk_finds(&table.table, set_number, addrs, count, waits)
        return found, time.perf_counter() - started
    finally:
        free(addrs)


def loads(size, count):
    """The seconds of `count` loads from random places of so many bytes, one after the other."""
    cdef uint64_t words = max(1, size // 8)
    cdef uint32_t times = count
    cdef uint64_t *memory = <uint64_t *>malloc(words * 8)
    if memory is NULL:
        raise MemoryError
    try:
        memset(memory, 0, words * 8)
        started = time.perf_counter()
        with nogil:
            e.l4_bulk_loads(memory, words, times)
        return time.perf_counter() - started
    finally:
        free(memory)


def set_bytes(Table table, number):
    """How large a set in force is; 0: there is none."""
    return e.l4_access_bytes(&table.table, number)


def exported(Table table, number):
    """A set in force as `build` makes one, in the form FORMAT; b"": there is none."""
    cdef const e.l4_cidr *found = e.l4_access_set(&table.table, number)
    return b"" if found is NULL else (<const char *>found)[:found.bytes]


cdef class _Networks:
    """Lists as C reads them."""
    cdef e.l4_prefix *rows
    cdef size_t count

    def __cinit__(self, number, lists):
        most = sum(text.count(b"\n") + 1 for text, _ in lists)
        if most > e.L4_PREFIXES_MAX:
            raise OverflowError(f"more than {e.L4_PREFIXES_MAX} networks")
        self.rows = <e.l4_prefix *>malloc(most * sizeof(e.l4_prefix) or 1)
        if self.rows is NULL:
            raise MemoryError
        cdef int64_t found
        for index, (text, value) in enumerate(lists):
            found = e.l4_cidr_parse(<const char *>text, len(text), value,
                                    self.rows + self.count, most - self.count)
            if found < 0:
                raise BadLineError(number, index, -found)
            self.count += found

    def __dealloc__(self):
        free(self.rows)


cdef _check(int error):
    if error:
        raise OverflowError(f"the sets of networks have no room: {os.strerror(-error)}")


# ---- blocked sources, as they are shown ----------------------------------------------------------

BLOCKS_MAX = e.L4_BLOCKS_MAX


class BlockRow(NamedTuple):
    source: str
    since_ms: int
    until_ms: int | None
    by: str
    dry_run: bool


def write_blocks(Table table, blocks):
    """What is shown of the blocked sources, in place of what was: BlockRows, at most BLOCKS_MAX."""
    cdef e.l4_header *header = <e.l4_header *>table.table.header
    cdef e.l4_block *row
    if len(blocks) > BLOCKS_MAX:
        raise OverflowError(f"more than {BLOCKS_MAX} blocks")
    for index, block in enumerate(blocks):
        row = e.l4_table_block(&table.table, index)
        network = ipaddress.ip_network(block.source)
        packed = network.network_address.packed
        memset(row, 0, sizeof(row[0]))
        row.net.family = socket.AF_INET if network.version == 4 else socket.AF_INET6
        memcpy(row.net.ip, <const char *>packed, len(packed))
        row.bits = network.prefixlen
        row.flags = (1 if block.by == "auto" else 0) | (2 if block.dry_run else 0)
        row.since_ms = block.since_ms
        row.until_ms = block.until_ms or 0
    header.blocks = len(blocks)


def blocks(Table table):
    """The blocked sources, oldest first."""
    cdef e.l4_block *row
    found = []
    for index in range(min((<e.l4_header *>table.table.header).blocks, BLOCKS_MAX)):
        row = e.l4_table_block(&table.table, index)
        four = row.net.family == socket.AF_INET
        text = socket.inet_ntop(socket.AF_INET if four else socket.AF_INET6,
                                row.net.ip[:4 if four else 16])
        if row.bits != (32 if four else 128):
            text += f"/{row.bits}"
        found.append(BlockRow(text, row.since_ms, row.until_ms or None,
                              "auto" if row.flags & 1 else "admin", bool(row.flags & 2)))
    return found
