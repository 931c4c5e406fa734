"""shm/sticky.h, core/sticky.h"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from l4lb.native.c.base cimport cbool, l4_addr
from l4lb.native.c.table cimport l4_table
from l4lb.native.c.pick cimport l4_pick_answer, l4_pick_request


cdef extern from "shm/sticky.h":
    enum:
        L4_STICKY_SUPERVISOR
        L4_STICKY_SECRET_SHOWN

    struct l4_sticky_key:
        uint32_t pool
        uint16_t kind
        uint16_t name_bytes
        l4_addr addr
        char name[40]

    struct l4_sticky_entry:
        l4_sticky_key key
        uint32_t backend
        uint64_t idle_ms

    uint32_t l4_sticky_put(const l4_table *table, uint32_t who, uint64_t tag,
                           const l4_sticky_key *key, uint32_t backend, bint keep,
                           uint64_t ttl_ms, uint64_t now_ms)
    uint64_t l4_sticky_tag_in(uint32_t pool, uint64_t tag, uint32_t other)
    bint l4_sticky_remove(const l4_table *table, uint64_t tag)
    bint l4_sticky_read(const l4_table *table, uint32_t n, uint64_t now_ms, uint64_t *tag,
                        l4_sticky_entry *entry)
    void l4_sticky_forget(const l4_table *table, uint32_t who)


cdef extern from "core/sticky.h":
    struct l4_sticky_client:
        const l4_addr *addr
        uint64_t name_hash
        const char *name
        uint32_t name_bytes

    l4_pick_answer l4_sticky_pick(const l4_table *table, const l4_pick_request *request,
                                  const l4_sticky_client *client, cbool *sticky)
    uint64_t l4_sticky_client_tag(const l4_table *table, uint32_t pool,
                                  const l4_sticky_client *client, l4_sticky_key *key)
