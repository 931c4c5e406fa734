# cython: language_level=3
"""Caches: their rows in the shared table, and the memory of one (csrc/cache/layout.h)."""

from libc cimport errno
from libc.stdint cimport int64_t, uint32_t, uint64_t

from l4lb.native cimport c
from l4lb.native.memory cimport put_text
from l4lb.native.table cimport Table
from l4lb.native import settings
from l4lb.native.caches import RESULTS, CacheRow, CacheTally, Disk, Room

CACHES_MAX = <int>c.L4_CACHES_MAX
BANS = {"all": c.L4_BAN_ALL, "url": c.L4_BAN_URL, "prefix": c.L4_BAN_PREFIX, "host": c.L4_BAN_HOST,
        "tag": c.L4_BAN_TAG}
assert len(RESULTS) == <int>c.L4_CACHE_RESULT_COUNT
GUEST = <int>c.L4_CACHE_GUEST
# of the purges, which the file with all memory begins with
BANS_BYTES = <int>c.L4_BANS_BYTES
BANS_MAX = <int>c.L4_CACHE_BANS
DISK_FOLDERS = <int>c.L4_DISK_FOLDERS
NUMBER = (1 << 64) - 1  # counts wrap
cdef uint64_t DISK_UNKNOWN = <uint64_t>-1
# enum l4_cache_key_part; every key has the path
KEY_PARTS = {"scheme": <int>c.L4_KEY_SCHEME, "host": <int>c.L4_KEY_HOSTNAME,
             "path": 0, "query": <int>c.L4_KEY_ARGUMENTS}


# ---- rows ----------------------------------------------------------------------------------------


cdef c.l4_cache_rules *_row(Table table, index) except NULL:
    if not 0 <= index < CACHES_MAX:
        raise IndexError(f"cache {index}")
    return c.l4_table_cache(&table.table, index)


def put(Table table, index, *, name, at, size, used, disk_fd=0, bytes disk_key=b"", disk_size=0,
        disk_max_object=0, **values):
    """Writes the rules of a cache. Its memory is ready. size: its bytes. used: how
    often the row was given. disk_fd: its folder as workers have it open; 0: none. disk_key: the
    secret of the names there. disk_size, disk_max_object: bytes of all files, and of one."""
    cdef c.l4_cache_rules *row = _row(table, index)
    if disk_fd and len(disk_key) != sizeof(row.disk_key):
        raise ValueError("the key of a folder has 16 bytes")
    settings.put(table, "cache", index, **values)
    put_text(row.name, sizeof(row.name), name)
    row.at = at
    row.bytes = size
    row.disk_fd = disk_fd
    row.disk_size = disk_size
    row.disk_max_object = disk_max_object
    for i, byte in enumerate(disk_key):
        row.disk_key[<int>i] = byte
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


def tally(Table table, name):
    """Returns the counts of a cache over all workers, those of its earlier rows included."""
    cdef c.l4_cache_tally *one
    results = [0] * len(RESULTS)
    sums = [0] * 7
    for index in range(CACHES_MAX):
        if _row(table, index).name.decode() != name:
            continue
        for worker in table._counted():
            one = c.l4_table_cache_tally(table.handle(), worker, index)
            results = [had + one.results[i] for i, had in enumerate(results)]
            found = (one.stored, one.refused, one.waited, one.waited_in_vain, one.bytes,
                     one.refreshed, one.purged)
            sums = [had + more for had, more in zip(sums, found)]
    results, sums = [had & NUMBER for had in results], [had & NUMBER for had in sums]
    return CacheTally(dict(zip(RESULTS[1:], results[1:])), *sums)


def exported(Table table, name):
    """Returns the counts of a cache as plain numbers, for `book`."""
    found = tally(table, name)
    return [*found.results.values(), *found[1:]]


def book(Table table, index, numbers):
    """Adds counts that `exported` has written to the supervisor's own of a row."""
    cdef c.l4_cache_tally *one = c.l4_table_cache_tally(
        table.handle(), c.l4_table_book(table.handle()), index)
    _row(table, index)  # raises IndexError
    results, sums = numbers[:len(RESULTS) - 1], numbers[len(RESULTS) - 1:]
    for at, more in enumerate(results, 1):
        one.results[at] += <uint64_t>more
    one.stored += <uint64_t>sums[0]
    one.refused += <uint64_t>sums[1]
    one.waited += <uint64_t>sums[2]
    one.waited_in_vain += <uint64_t>sums[3]
    one.bytes += <uint64_t>sums[4]
    one.refreshed += <uint64_t>sums[5]
    one.purged += <uint64_t>sums[6]


def move_counts(Table table, index, to):
    """Takes the counts of a row that no worker has open away, for another cache: to another row of
    the same cache, or nowhere (None)."""
    cdef c.l4_cache_tally *one
    cdef c.l4_cache_tally *book = c.l4_table_cache_tally(
        table.handle(), c.l4_table_book(table.handle()), index)
    cdef c.l4_cache_tally *other = c.l4_table_cache_tally(
        table.handle(), c.l4_table_book(table.handle()), index if to is None else to)
    cdef uint64_t numbers[c.L4_CACHE_RESULT_COUNT + 7]
    cdef int i
    _row(table, index)  # raises IndexError
    for i in range(<int>c.L4_CACHE_RESULT_COUNT + 7):
        numbers[i] = 0
    for worker in table._counted():
        one = c.l4_table_cache_tally(table.handle(), worker, index)
        for i in range(<int>c.L4_CACHE_RESULT_COUNT):
            numbers[i] += one.results[i]
        found = (one.stored, one.refused, one.waited, one.waited_in_vain, one.bytes,
                 one.refreshed, one.purged)
        for i in range(7):
            numbers[<int>c.L4_CACHE_RESULT_COUNT + i] += <uint64_t>found[i]
    # why in the supervisor's own counts: those of a worker are written by it alone. They are sums
    # of 64 bits, and may be below zero.
    _add(book, numbers, -1)
    if to is not None:
        _add(other, numbers, 1)


cdef void _add(c.l4_cache_tally *to, const uint64_t *numbers, int sign) noexcept:
    cdef uint64_t times = <uint64_t>sign
    cdef const uint64_t *sums = numbers + <int>c.L4_CACHE_RESULT_COUNT
    cdef int i
    for i in range(<int>c.L4_CACHE_RESULT_COUNT):
        to.results[i] += numbers[i] * times
    to.stored += sums[0] * times
    to.refused += sums[1] * times
    to.waited += sums[2] * times
    to.waited_in_vain += sums[3] * times
    to.bytes += sums[4] * times
    to.refreshed += sums[5] * times
    to.purged += sums[6] * times


def name_of(Table table, index):
    """Returns the name of the cache that a row has or had."""
    return _row(table, index).name.decode()


def is_open(Table table, index, used):
    """Returns whether a worker has the memory of a row open that was given so often."""
    _row(table, index)  # raises IndexError
    for worker in table._counted():
        if c.l4_table_cache_tally(table.handle(), worker, index).opened == used:
            return True
    return False


def closed(Table table, worker):
    """Notes that a worker has ended, and with it what it had open."""
    if worker not in table._counted():
        raise IndexError(f"worker {worker}")
    for index in range(CACHES_MAX):
        c.l4_table_cache_tally(table.handle(), worker, index).opened = 0


# ---- purges --------------------------------------------------------------------------------------


cdef c.l4_bans *_bans(area) except NULL:
    cdef unsigned char[::1] view = area
    if view.shape[0] < BANS_BYTES:
        raise ValueError("the purges do not fit")
    return <c.l4_bans *>&view[0]


def begin_bans(area, epoch=1, floor=0, rows=()):
    """Begins the list of purges in a buffer of BANS_BYTES zeros. epoch: larger than that of every
    list before it. floor: the stamp of the last purge that is forgotten. rows: purges of lists
    before it, as bans_of gives them, at most BANS_MAX, by their stamps."""
    cdef c.l4_bans *bans = _bans(area)
    cdef c.l4_ban ban
    c.l4_bans_format(bans, epoch, floor)
    for stamp, cache, kind, hashed, size, soft in rows:
        ban.stamp, ban.cache, ban.kind = stamp, cache, kind
        ban.hash, ban.bytes, ban.soft = hashed, size, soft
        c.l4_ban_restore(bans, &ban)


def bans_epoch(area):
    """Returns the epoch of a list of purges."""
    return _bans(area).epoch


def bans_of(area, name):
    """Returns the purges of a cache, oldest first: stamp, hash of the cache's name, kind, hash and
    bytes of the text that is meant, soft."""
    cdef c.l4_bans *bans = _bans(area)
    cdef bytes named = name.encode()
    cdef uint64_t cache = c.l4_ban_cache(named), last = c.l4_ban_last(bans)
    cdef c.l4_ban ban
    return [
        (ban.stamp, ban.cache, ban.kind, ban.hash, ban.bytes, bool(ban.soft))
        for number in range(max(1, <object>last - BANS_MAX + 1), <object>last + 1)
        if c.l4_ban_read(bans, <uint64_t>number, &ban) and ban.cache == cache
    ]


def bans_are_known(area):
    """Returns whether a buffer has a list of purges of this form."""
    return c.l4_bans_are_known(_bans(area))


def share_bans(area, shared):
    """Says whether an older program's workers serve, too: then each purge must reach both
    programs' caches."""
    _bans(area).shared = shared


def purge(area, name, kind, bytes text, soft):
    """Takes out of a cache what a purge means (a key of BANS). area: the list of purges. soft: it
    is stale instead."""
    cdef c.l4_ban_kind number = <c.l4_ban_kind><int>BANS[kind]
    cdef bytes cache = name.encode()
    c.l4_ban_add(_bans(area), c.l4_ban_cache(cache), number, _text(text, len(text)), soft)


def punch(fd, at, size):
    """Gives the memory of a part of a memory file back. Raises OSError."""
    if c.fallocate(fd, c.FALLOC_FL_KEEP_SIZE | c.FALLOC_FL_PUNCH_HOLE, at, size):
        raise OSError(errno.errno, "the memory of old caches cannot be given back")


cdef size_t ROWS_END = <size_t>c.L4_CACHE_SHARED_AT + sizeof(c.l4_cache_shared)


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
    _header(view)
    c.l4_cache_forget(&view[0], reader)


cdef c.l4_cache_header *_header(unsigned char[::1] area) except NULL:
    """Returns a header whose rows of readers are there. What it says may come from a worker that
    was taken over."""
    if <size_t>area.shape[0] < ROWS_END:
        raise ValueError("this is no memory of a cache")
    return <c.l4_cache_header *>&area[0]


def room(area):
    """Returns what lies in a cache's memory."""
    cdef unsigned char[::1] view = area
    cdef c.l4_cache_header *header = _header(view)
    cdef c.l4_cache_worker *one
    cdef uint64_t at, tail
    cdef uint32_t i
    used = evicted = 0
    for i in range(min(header.logs, <uint32_t>c.L4_WORKERS_MAX)):
        one = c.l4_cache_workers(&view[0]) + i
        evicted += one.evicted
        for ring in range(<int>c.L4_CACHE_RINGS):
            tail = one.rings[ring].tail
            at = one.rings[ring].at
            if at > tail:
                used += at - tail
    return Room(used, evicted)


def objects(fd, at, size):
    """Returns how many objects a cache has at this moment; None if its memory cannot be read. fd:
    the file of all caches. at, size: the cache's part of it."""
    cdef int file = fd
    cdef uint64_t begin = at, length = size
    cdef int64_t found
    with nogil:
        found = c.l4_cache_count(file, begin, length)
    return None if found < 0 else found


# ---- files ---------------------------------------------------------------------------------------


cdef c.l4_disk_counts *_disk(unsigned char[::1] view) except NULL:
    _header(view)
    return &c.l4_cache_shared_of(&view[0]).disk


def disk(area):
    """Returns the counts of a cache's files."""
    cdef c.l4_disk_counts *counts = _disk(area)
    used = None if counts.used == DISK_UNKNOWN else counts.used
    return Disk(used, counts.reads, counts.writes, counts.errors, counts.error)


def disk_set_used(area, size):
    """Says how many bytes all files have: from now on workers write."""
    _disk(area).used = size


def disk_add_used(area, delta):
    """Adds to the bytes of all files."""
    c.add(&_disk(area).used, <uint64_t><int64_t>delta)


def disk_take_pending(area, folder):
    """Returns how many bytes workers have written to a folder, less what they gave up there, since
    the last call. They are a part of the bytes of all files already."""
    if not 0 <= folder < DISK_FOLDERS:
        raise IndexError(f"folder {folder}")
    return c.exchange(&_disk(area).pending[<int>folder], 0)


# ---- keys --------------------------------------------------------------------------------


cdef c.l4_text _text(const char *at, size_t size):
    cdef c.l4_text text
    text.at = at
    text.bytes = size
    return text


def key(bytes scheme, bytes host, bytes path, bytes query, parts, ignored):
    """Returns the key of a URL. query: None if there is none. parts: a sum of KEY_PARTS. ignored:
    names of arguments. Raises ValueError if it is too long."""
    cdef char to[c.L4_CACHE_KEY_MAX]
    cdef c.l4_text names[c.L4_CACHE_IGNORED_MAX]
    cdef c.l4_key_rules rules
    cdef c.l4_url url
    cdef size_t size, i = 0
    cdef bytes name
    kept = list(ignored)[:c.L4_CACHE_IGNORED_MAX]
    for name in kept:
        names[i] = _text(name, len(name))
        i += 1
    rules.scheme = parts & <int>c.L4_KEY_SCHEME
    rules.host = parts & <int>c.L4_KEY_HOSTNAME
    rules.query = parts & <int>c.L4_KEY_ARGUMENTS
    rules.ignored.names = names
    rules.ignored.count = i
    url.scheme = _text(scheme, len(scheme))
    url.host = _text(host, len(host))
    url.path = _text(path, len(path))
    url.query = _text(query, len(query)) if query is not None else _text(NULL, 0)
    url.has_query = query is not None
    size = c.l4_cache_key(&url, &rules, to)
    if not size:
        raise ValueError(f"a URL of a cache has at most {<int>c.L4_CACHE_KEY_MAX} bytes")
    return to[:size]
