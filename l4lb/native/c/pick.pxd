"""core/hash_key.h, core/pick.h, core/simulate.h"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from l4lb.native.c.base cimport l4_addr, l4_hash_key
from l4lb.native.c.layout cimport l4_key_rule, l4_pool
from l4lb.native.c.table cimport l4_table


cdef extern from "core/hash_key.h":
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


cdef extern from "core/simulate.h":
    enum:
        L4_SIMULATE_NONE

    void l4_simulate_keys(const l4_table *table, uint32_t pool, uint64_t now_ms, uint32_t count,
                          uint16_t *chosen) nogil
    uint32_t l4_simulate_picks(const l4_table *table, uint32_t pool, uint64_t now_ms,
                               uint32_t count, bint hold, uint32_t *counts) nogil
