"""shm/cache.h and csrc/cache; core/cache_key.h"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from l4lb.native.c.base cimport l4_hash_key
from l4lb.native.c.http cimport l4_text
from l4lb.native.c.table cimport l4_table


cdef extern from "shm/cache.h":
    enum:
        L4_KEY_SCHEME
        L4_KEY_HOSTNAME
        L4_KEY_ARGUMENTS
        L4_CACHE_RESULT_COUNT

    struct l4_cache_rules:
        uint32_t used
        char name[65]
        uint64_t at
        uint64_t bytes
        int disk_fd
        uint8_t disk_key[16]
        uint64_t disk_size
        uint64_t disk_max_object
        uint64_t max_object
        uint32_t key
        uint32_t collapse_ms

    struct l4_cache_tally:
        uint64_t results[8]
        uint64_t stored
        uint64_t refused
        uint64_t waited
        uint64_t waited_in_vain
        uint64_t bytes
        uint64_t refreshed
        uint64_t purged
        uint32_t opened

    l4_cache_rules *l4_table_cache(const l4_table *table, uint32_t index)
    l4_cache_tally *l4_table_cache_tally(const l4_table *table, uint32_t worker, uint32_t index)


cdef extern from "core/fresh.h":
    struct l4_freshness:
        uint32_t lifetime_s

    enum l4_fresh_use:
        L4_USE
        L4_USE_STALE
        L4_USE_AFTER_ASKING

    uint32_t l4_fresh_age(const l4_freshness *freshness, int64_t now_s)


cdef extern from "core/name_list.h":
    struct l4_name_list:
        const l4_text *names
        size_t count


cdef extern from "core/cache_key.h":
    enum:
        L4_CACHE_KEY_MAX

    struct l4_key_rules:
        bint scheme
        bint host
        bint query
        l4_name_list ignored

    struct l4_url:
        l4_text scheme
        l4_text host
        l4_text path
        l4_text query
        bint has_query

    size_t l4_cache_key(const l4_url *url, const l4_key_rules *rules, char *to)


cdef extern from "cache/layout.h":
    enum:
        L4_CACHE_GUEST
        L4_CACHE_READERS
        L4_CACHE_RINGS
        L4_CACHE_SHARED_AT
        L4_DISK_FOLDERS

    struct l4_cache_header:
        uint32_t logs

    struct l4_cached:
        uint8_t uses
        uint8_t soft
        uint64_t pool
        l4_freshness freshness
        uint16_t status
        uint64_t body_bytes
        uint64_t file
        uint64_t marker

    struct l4_cache_ring:
        uint64_t at
        uint64_t tail

    struct l4_cache_worker:
        l4_cache_ring rings[2]
        uint64_t stored
        uint64_t evicted
        uint64_t moved
        uint64_t too_large
        uint64_t blocked

    struct l4_disk_counts:
        uint64_t used
        int64_t pending[256]
        uint64_t reads
        uint64_t writes
        uint64_t errors
        uint32_t error

    struct l4_cache_shared:
        l4_disk_counts disk

    struct l4_ban:
        uint64_t cache
        uint64_t hash
        uint64_t stamp
        uint32_t bytes
        uint8_t kind
        uint8_t soft

    l4_cache_worker *l4_cache_workers(void *memory)
    l4_cache_shared *l4_cache_shared_of "l4_cache_shared"(void *memory)


cdef extern from "cache/store.h":
    struct l4_cache:
        pass

    uint64_t l4_cache_bytes(uint64_t memory, uint32_t logs, uint64_t object_max)
    void l4_cache_format(void *at, uint64_t memory, uint32_t logs, uint64_t object_max)
    bint l4_cache_open(l4_cache *cache, void *memory, uint64_t bytes, uint32_t reader)
    void l4_cache_close(l4_cache *cache)
    void l4_cache_forget(void *memory, uint32_t reader)


cdef extern from "cache/count.h":
    enum:
        L4_CACHE_COUNTED

    int64_t l4_cache_count(int fd, uint64_t at, uint64_t bytes) nogil


cdef extern from "cache/find.h":
    struct l4_cache_read:
        const l4_cached *object

    l4_text l4_cached_vary(const l4_cached *object)
    l4_text l4_cached_tags(const l4_cached *object)
    bint l4_cache_next(l4_cache *cache, uint64_t hash, l4_text key, uint32_t *way,
                       l4_cache_read *read)
    void l4_cache_release(l4_cache *cache, l4_cache_read *read)
    uint64_t l4_cache_claim_of(const l4_cache *cache, uint64_t hash, int64_t now_s)


cdef extern from "cache/ban.h":
    enum:
        L4_BANS_BYTES

    struct l4_bans:
        uint32_t shared
        uint64_t epoch

    enum l4_ban_kind:
        L4_BAN_ALL
        L4_BAN_URL
        L4_BAN_PREFIX
        L4_BAN_HOST
        L4_BAN_TAG

    void l4_bans_format(l4_bans *bans, uint64_t epoch, uint64_t floor)
    void l4_ban_restore(l4_bans *bans, const l4_ban *ban)
    bint l4_ban_read(const l4_bans *bans, uint64_t number, l4_ban *to)
    uint64_t l4_ban_last(const l4_bans *bans)
    bint l4_bans_are_known(const l4_bans *bans)
    uint64_t l4_ban_cache(const char *name)
    uint64_t l4_ban_add(l4_bans *bans, uint64_t cache, l4_ban_kind kind, l4_text text, bint soft)
    bint l4_ban_is_dead(const l4_bans *bans, uint64_t cache, l4_cached *object)


cdef extern from "core/h1.h":
    struct l4_h1_head:
        uint8_t method


cdef extern from "cache/disk.h":
    enum:
        L4_DISK_TEXTS_MAX

    struct l4_disk:
        l4_hash_key key

    void l4_disk_open_folder(l4_disk *disk, int fd, const void *key, uint64_t size,
                             l4_disk_counts *counts)


cdef extern from "cache/peek.h":
    struct l4_peek:
        l4_cache *cache
        const l4_disk *disk
        const l4_bans *bans
        uint64_t name
        l4_text key
        const char *bytes
        const l4_h1_head *request
        const l4_name_list *cookies

    enum l4_peeked:
        L4_PEEKED_NOTHING
        L4_PEEKED_OBJECT
        L4_PEEKED_VARIANTS

    struct l4_peek_request:
        bint may_answer
        bint fetches
        bint only

    bint l4_peek_head(const char *bytes, size_t count, l4_h1_head *head)
    bint l4_peek_memory(const l4_peek *peek, uint64_t hash, uint64_t pool, l4_cache_read *read)
    l4_peeked l4_peek_disk(const l4_peek *peek, l4_cached *to)
    l4_fresh_use l4_peek_use(const l4_peek *peek, const l4_cached *object, int64_t now_s)
    l4_peek_request l4_peek_request_of "l4_peek_request"(const char *bytes, const l4_h1_head *head)


# why: Cython writes no atomic operations of its own.
cdef extern from "<stdatomic.h>":
    uint64_t add "atomic_fetch_add"(uint64_t *to, uint64_t more)
    int64_t exchange "atomic_exchange"(int64_t *at, int64_t value)


cdef extern from "<fcntl.h>":
    enum:
        FALLOC_FL_KEEP_SIZE
        FALLOC_FL_PUNCH_HOLE
    int fallocate(int fd, int mode, int64_t at, int64_t size)
