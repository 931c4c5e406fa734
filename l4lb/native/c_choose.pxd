"""What explaining and simulating choices needs of csrc/: picks that change nothing, or in bulk."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from l4lb.native.c_l4 cimport l4_addr, l4_hash_key, l4_key_rule, l4_pool, l4_table, l4_view
from l4lb.native.c_sticky cimport l4_stick_client


cdef extern from "stdbool.h":
    ctypedef bint cbool "bool"


cdef extern from "base/hash.h":
    uint64_t l4_hash(const l4_hash_key *key, const void *data, size_t bytes)
    uint32_t l4_hash_below(uint64_t hash, uint32_t n)


cdef extern from "shm/table.h":
    uint16_t *l4_view_maglev(const l4_table *table, l4_view *view)


cdef extern from "core/key.h":
    uint64_t l4_key_hash(const l4_hash_key *key, const l4_key_rule *rule, const l4_addr *client,
                         uint64_t name_hash)


cdef extern from "core/pick.h":
    enum:
        L4_USABLE
        L4_FULL

    struct l4_pick_request:
        uint32_t worker
        uint32_t pool
        uint64_t now_ms
        uint64_t hash
        uint64_t random
        const uint16_t *tried
        uint32_t tried_count
        bint dry

    struct l4_pick_answer:
        uint32_t backend
        bint full
        int tier

    struct l4_pick_context:
        const l4_table *table
        const l4_pick_request *request
        l4_pool *pool
        int tier

    int l4_pick_judge(l4_pick_context *context, uint32_t backend)
    uint64_t l4_pick_weight(const l4_pick_context *context, const void *backend)


cdef extern from "core/response.h":
    uint32_t l4_response_of(const void *backend, uint64_t now_ms)


cdef extern from "core/stick.h":
    l4_pick_answer l4_stick_pick(const l4_table *table, const l4_pick_request *request,
                                 const l4_stick_client *client, cbool *stuck)


cdef extern from "core/bulk.h":
    enum:
        L4_BULK_NONE

    void l4_bulk_keys(const l4_table *table, uint32_t pool, uint64_t now_ms, uint32_t count,
                      uint16_t *chosen) nogil
    uint32_t l4_bulk_picks(const l4_table *table, uint32_t pool, uint64_t now_ms, uint32_t count,
                           bint hold, uint32_t *counts) nogil
