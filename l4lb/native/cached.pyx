# cython: language_level=3
"""What caches keep, as operators see it: of a URL, and for a request (csrc/cache/peek.h).

One thread of one process may look at one time: it is the reader GUEST of a cache's memory.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from l4lb.native cimport c
from l4lb.native.table cimport Table
from l4lb.native.caches import Asked, Found, Kept, KeyRules

USES = {c.L4_USE: "hit", c.L4_USE_STALE: "updating", c.L4_USE_AFTER_ASKING: "expired"}
cdef size_t ROWS_END = <size_t>c.L4_CACHE_SHARED_AT + sizeof(c.l4_cache_shared)


def rules(Table table, index):
    """Returns by what the cache of this row tells requests apart."""
    cdef c.l4_texts texts
    cdef c.l4_cache_texts its
    while True:
        texts = c.l4_texts_begin(&table.table)
        its = c.l4_texts_cache(&texts, index)
        found = KeyRules(_row(table, index).key,
                         _names(&texts, its.ignored, its.ignored_count),
                         _names(&texts, its.cookies, its.cookie_count),
                         its.purge.at[:its.purge.bytes] if its.purge.bytes else b"",
                         bool(_row(table, index).collapse_ms))
        if c.l4_texts_hold(&table.table, &texts):
            return found


def asked(bytes head):
    """Returns what a request with this head lets a cache do. Raises ValueError if it is no head."""
    cdef c.l4_h1_head request
    cdef c.l4_peek_request found
    if not c.l4_peek_head(head, len(head), &request):
        raise ValueError("this is no head of a request")
    found = c.l4_peek_request_of(head, &request)
    return Asked(found.may_answer, found.fetches, found.only)


def kept(Table table, purges, area, index, bytes wanted, now_s):
    """Returns the answers of a key in the memory of a row's cache. purges: the list of purges.
    now_s: seconds since 1970."""
    cdef _Peek peek = _Peek(table, purges, area, index, wanted, None)
    cdef c.l4_cache_read read
    cdef uint32_t way = 0
    found = []
    while c.l4_cache_next(&peek.cache, peek.hashed, peek.peek.key, &way, &read):
        if not c.l4_ban_is_dead(peek.peek.bans, peek.peek.name, <c.l4_cached *>read.object):
            found.append(_kept(read.object, now_s, &peek.view[peek.view.shape[0] - 1]))
        c.l4_cache_release(&peek.cache, &read)
    return found


def on_disk(Table table, purges, area, index, bytes wanted, now_s):
    """Returns the answer of a key on the disk of a row's cache, or None. If answers are told apart
    there by what requests say, it is the one that was written first. Then the names of the fields
    follow; else None."""
    cdef _Peek peek = _Peek(table, purges, area, index, wanted, None)
    found = peek.on_disk(now_s)
    return found, peek.fields()


def found(Table table, purges, area, index, bytes wanted, bytes head, pool, route, now_s):
    """Returns what a request with this head would get, or None. pool: the name of the pool that
    would answer it; route: the slot of its route, or None. Raises ValueError if it is no head."""
    cdef _Peek peek = _Peek(table, purges, area, index, wanted, head)
    cdef c.l4_cache_read read
    cdef bytes name = pool.encode()
    cdef uint64_t which = <uint64_t>(c.L4_NONE if route is None else route) + 1
    cdef uint64_t of = c.l4_hash_again(
        c.l4_hash(&table.table.header.hash_key, <const char *>name, len(name)), which)
    if c.l4_peek_memory(&peek.peek, peek.hashed, of, &read):
        use = USES[c.l4_peek_use(&peek.peek, read.object, now_s)]
        one = _kept(read.object, now_s, &peek.view[peek.view.shape[0] - 1])
        c.l4_cache_release(&peek.cache, &read)
        return Found(one, "memory", use)
    one = peek.on_disk(now_s)
    of = c.l4_hash_again(c.l4_hash(&peek.disk.key, <const char *>name, len(name)), which)
    if one is None or peek.room.pool != of:
        return None
    return Found(one, "disk", USES[c.l4_peek_use(&peek.peek, peek.room, now_s)])


def is_fetched(Table table, purges, area, index, bytes wanted, now_s):
    """Returns whether a worker fetches a key at this moment, for others to wait."""
    cdef _Peek peek = _Peek(table, purges, area, index, wanted, None)
    return bool(c.l4_cache_claim_of(&peek.cache, peek.hashed, now_s))


cdef class _Peek:
    """The cache of a row, opened to look for a key. head: of the request, or None."""
    cdef c.l4_cache cache
    cdef c.l4_disk disk
    cdef c.l4_peek peek
    cdef c.l4_h1_head request
    cdef c.l4_name_list cookies
    cdef c.l4_text names[c.L4_CACHE_IGNORED_MAX]
    cdef c.l4_cached *room  # what was read from the disk, and its texts
    cdef uint64_t hashed
    cdef bint opened
    cdef unsigned char[::1] view
    cdef unsigned char[::1] bans
    cdef tuple texts

    def __cinit__(self, Table table, purges, area, index, bytes wanted, bytes head):
        cdef c.l4_cache_rules *row = _row(table, index)
        self.view, self.bans = area, purges
        if self.view.shape[0] < <Py_ssize_t>ROWS_END or self.bans.shape[0] < c.L4_BANS_BYTES:
            raise ValueError("this is no memory of a cache")
        if not c.l4_cache_open(&self.cache, &self.view[0], self.view.shape[0],
                               <uint32_t>c.L4_CACHE_GUEST):
            raise ValueError("the memory of the cache cannot be read")
        self.opened = True
        self.room = <c.l4_cached *>calloc(1, sizeof(c.l4_cached) + c.L4_DISK_TEXTS_MAX)
        if self.room is NULL:
            raise MemoryError
        c.l4_disk_open_folder(&self.disk, row.disk_fd, row.disk_key, row.disk_size,
                              &c.l4_cache_shared_of(&self.view[0]).disk)
        cookies = rules(table, index).cookies[:c.L4_CACHE_IGNORED_MAX]
        self.texts = (wanted, head, cookies)  # so that they stay
        for at, name in enumerate(cookies):
            self.names[<int>at] = c.l4_text(<const char *><bytes>name, len(name))
        self.cookies.names, self.cookies.count = &self.names[0], len(cookies)
        self.peek.cache, self.peek.disk = &self.cache, &self.disk
        self.peek.bans = <c.l4_bans *>&self.bans[0]
        self.peek.name = c.l4_ban_cache(row.name)
        self.peek.key = c.l4_text(<const char *>wanted, len(wanted))
        self.peek.cookies = &self.cookies
        self.hashed = c.l4_hash(&table.table.header.hash_key, <const char *>wanted, len(wanted))
        if head is not None:
            if not c.l4_peek_head(head, len(head), &self.request):
                raise ValueError("this is no head of a request")
            self.peek.bytes, self.peek.request = head, &self.request

    def __dealloc__(self):
        if self.opened:
            c.l4_cache_close(&self.cache)
        free(self.room)

    cdef object on_disk(self, int64_t now_s):
        """Returns what the disk has, or None."""
        if c.l4_peek_disk(&self.peek, self.room) != c.L4_PEEKED_OBJECT:
            return None
        return _kept(self.room, now_s, <unsigned char *>(self.room + 1) + c.L4_DISK_TEXTS_MAX - 1)

    cdef object fields(self):
        """Returns the names of the fields by which the disk tells answers apart, or None."""
        if not self.room.marker:
            return None
        said = _shown(c.l4_cached_vary(self.room),
                      <unsigned char *>(self.room + 1) + c.L4_DISK_TEXTS_MAX - 1)
        return [line.partition(":")[0] for line in said.splitlines()]


cdef c.l4_cache_rules *_row(Table table, index) except NULL:
    if not 0 <= index < c.L4_CACHES_MAX:
        raise IndexError(f"cache {index}")
    return c.l4_table_cache(&table.table, index)


cdef list _names(const c.l4_texts *texts, const c.l4_texts_at *at, uint32_t count):
    cdef c.l4_text text
    found = []
    for i in range(min(count, <uint32_t>c.L4_CACHE_IGNORED_MAX)):
        text = c.l4_texts_read(texts, at[i])
        found.append(text.at[:text.bytes] if text.bytes else b"")
    return found


cdef object _kept(const c.l4_cached *one, int64_t now_s, const unsigned char *last):
    """last: the last byte of the memory."""
    age_s = c.l4_fresh_age(&one.freshness, now_s)
    return Kept(one.status, one.body_bytes, age_s, one.freshness.lifetime_s - age_s,
                bool(one.soft), one.uses, _shown(c.l4_cached_vary(one), last),
                _shown(c.l4_cached_tags(one), last))


cdef str _shown(c.l4_text text, const unsigned char *last):
    """Returns what a client or a backend has sent, in printable characters."""
    cdef const char *end = <const char *>last + 1
    if not text.bytes or text.at >= end or text.bytes > <size_t>(end - text.at):
        return ""
    return text.at[:text.bytes].decode("ascii", "backslashreplace")
