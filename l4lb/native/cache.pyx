# cython: language_level=3
"""Caches: their rows in the shared table, and the memory of one (csrc/cache/layout.h)."""

from libc cimport errno

from l4lb.native cimport c
from l4lb.native.memory cimport put_text
from l4lb.native.table cimport Table
from l4lb.native import settings
from l4lb.native.caches import CacheRow

CACHES_MAX = <int>c.L4_CACHES_MAX
GUEST = <int>c.L4_CACHE_GUEST
# of the purges, which the file with all memory begins with
BANS_BYTES = <int>c.L4_BANS_BYTES
# enum l4_cache_key_part; every key has the path
KEY_PARTS = {"scheme": <int>c.L4_KEY_SCHEME, "host": <int>c.L4_KEY_HOSTNAME,
             "path": 0, "query": <int>c.L4_KEY_ARGUMENTS}


# ---- rows ----------------------------------------------------------------------------------------


cdef c.l4_cache_rules *_row(Table table, index) except NULL:
    if not 0 <= index < CACHES_MAX:
        raise IndexError(f"cache {index}")
    return c.l4_table_cache(&table.table, index)


def put(Table table, index, *, name, at, size, used, **values):
    """Writes the rules of a cache. Its memory is ready. size: its bytes. used: how
    often the row was given."""
    cdef c.l4_cache_rules *row = _row(table, index)
    settings.put(table, "cache", index, **values)
    put_text(row.name, sizeof(row.name), name)
    row.at = at
    row.bytes = size
    row.used = used


def clear(Table table, index):
    """Marks a row that no configuration needs any more."""
    _row(table, index).used = 0


def rows(Table table):
    """Returns the caches in use, in the order of their rows."""
    cdef c.l4_cache_rules *row
    found = []
    for index in range(CACHES_MAX):
        row = _row(table, index)
        if row.used:
            found.append(CacheRow(index, row.name.decode(), row.used, row.at, row.bytes))
    return found


# ---- purges --------------------------------------------------------------------------------------


cdef c.l4_bans *_bans(area) except NULL:
    cdef unsigned char[::1] view = area
    if view.shape[0] < BANS_BYTES:
        raise ValueError("the purges do not fit")
    return <c.l4_bans *>&view[0]


def begin_bans(area):
    """Begins the list of purges in a buffer of BANS_BYTES zeros."""
    c.l4_bans_format(_bans(area))


def bans_are_known(area):
    """Returns whether a buffer has a list of purges of this form."""
    return c.l4_bans_are_known(_bans(area))


def share_bans(area, shared):
    """Says whether an older program's workers serve, too: then each purge must reach both
    programs' caches."""
    _bans(area).shared = shared


def punch(fd, at, size):
    """Gives the memory of a part of a memory file back. Raises OSError."""
    if c.fallocate(fd, c.FALLOC_FL_KEEP_SIZE | c.FALLOC_FL_PUNCH_HOLE, at, size):
        raise OSError(errno.errno, "the memory of old caches cannot be given back")


# ---- memory --------------------------------------------------------------------------------------


def memory_bytes(memory, logs, object_max):
    """Returns the bytes that a cache of this memory takes with its index; 0: object_max does not
    fit. logs: how many workers store."""
    return c.l4_cache_bytes(memory, logs, object_max)


def make(area, memory, logs, object_max):
    """Makes an empty cache in a buffer of zeros that has memory_bytes."""
    cdef unsigned char[::1] view = area
    needed = memory_bytes(memory, logs, object_max)
    if not 0 < needed <= view.shape[0]:
        raise ValueError(f"a cache of {memory} bytes does not fit")
    c.l4_cache_format(&view[0], memory, logs, object_max)


def forget(area, reader):
    """Forgets what a dead worker (or GUEST) read and fetched; what it stored stays."""
    cdef unsigned char[::1] view = area
    if not 0 <= reader <= GUEST:
        raise IndexError(f"reader {reader}")
    c.l4_cache_forget(&view[0], reader)
