"""shm/cache.h and csrc/cache; core/cache_key.h"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

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
        uint64_t max_object

    struct l4_cache_tally:
        uint64_t results[8]
        uint64_t stored
        uint64_t refused
        uint64_t waited
        uint64_t waited_in_vain
        uint64_t bytes
        uint64_t refreshed
        uint64_t purged

    l4_cache_rules *l4_table_cache(const l4_table *table, uint32_t index)
    l4_cache_tally *l4_table_cache_tally(const l4_table *table, uint32_t worker, uint32_t index)


cdef extern from "cache/layout.h":
    enum:
        L4_CACHE_GUEST
        L4_CACHE_REGIONS
        L4_CACHE_RINGS

    struct l4_cache_header:
        uint64_t bytes
        uint32_t logs

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


cdef extern from "cache/ban.h":
    enum:
        L4_BANS_BYTES

    struct l4_bans:
        uint32_t shared

    void l4_bans_format(l4_bans *bans)
    bint l4_bans_are_known(const l4_bans *bans)


cdef extern from "cache/store.h":
    struct l4_cache:
        l4_cache_header *header
        l4_cache_worker *workers

    uint64_t l4_cache_bytes(uint64_t memory, uint32_t logs, uint64_t object_max)
    void l4_cache_format(void *at, uint64_t memory, uint32_t logs, uint64_t object_max)
    bint l4_cache_open(l4_cache *cache, void *memory, uint64_t bytes, uint32_t reader)
    void l4_cache_close(l4_cache *cache)
    void l4_cache_forget(void *memory, uint32_t reader)


cdef extern from "<fcntl.h>":
    enum:
        FALLOC_FL_KEEP_SIZE
        FALLOC_FL_PUNCH_HOLE
    int fallocate(int fd, int mode, int64_t at, int64_t size)
