"""shm/table.h and the ways to its rows, counts, rings; core/pool_view.h"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from l4lb.native.c.base cimport l4_addr
from l4lb.native.c.layout cimport (
    l4_backend, l4_block, l4_caps, l4_column, l4_header, l4_listener, l4_plan, l4_pool,
    l4_ring, l4_route, l4_session, l4_talkers, l4_tally, l4_udp_tally, l4_view, l4_worker,
)


cdef extern from "shm/table.h":
    struct l4_table:
        l4_plan plan
        l4_header *header
        int fd

    uint16_t *l4_view_maglev(const l4_table *table, l4_view *view)
    int l4_table_create(l4_table *table, const l4_caps *caps)
    void l4_table_close(l4_table *table)
    l4_listener *l4_table_listener(const l4_table *table, uint32_t index)
    l4_pool *l4_table_pool(const l4_table *table, uint32_t index)
    l4_backend *l4_table_backend(const l4_table *table, uint32_t index)
    l4_worker *l4_table_worker(const l4_table *table, uint32_t index)
    l4_column *l4_table_column(const l4_table *table, uint32_t worker, uint32_t backend)
    l4_tally *l4_table_tally(const l4_table *table, uint32_t worker, uint32_t listener)
    l4_session *l4_table_session(const l4_table *table, uint32_t worker, uint32_t index)
    l4_view *l4_table_view(const l4_table *table, uint32_t pool, uint32_t generation)
    uint16_t *l4_view_members(l4_view *view)
    uint16_t *l4_view_slots(const l4_table *table, l4_view *view)


cdef extern from "shm/policy_rows.h":
    l4_route *l4_table_routes(const l4_table *table, uint32_t generation)
    char *l4_table_texts(const l4_table *table, uint32_t generation)
    l4_block *l4_table_block(const l4_table *table, uint32_t index)
    l4_talkers *l4_table_talkers(const l4_table *table, uint32_t worker)


cdef extern from "shm/udp_rows.h":
    l4_udp_tally *l4_table_udp_tally(const l4_table *table, uint32_t worker, uint32_t listener)


cdef extern from "shm/row_reuse.h":
    uint32_t l4_table_workers_high(const l4_table *table)
    uint32_t l4_table_backends_high(const l4_table *table)
    uint32_t l4_table_book(const l4_table *table)
    l4_column *l4_table_gone(const l4_table *table)
    void l4_table_move(l4_backend *backend, const l4_addr *addr, const char *path)


cdef extern from "shm/count.h":
    void l4_count_clear(const l4_table *table, uint32_t worker)
    void l4_count_elsewhere(const l4_table *table, uint32_t backend, uint32_t sessions)
    int l4_count_settle(const l4_table *table) nogil


cdef extern from "shm/ring.h":
    bint l4_ring_put(l4_ring *ring, void *entries, const void *entry, size_t entry_bytes,
                     uint64_t places)
    bint l4_ring_take(l4_ring *ring, const void *entries, void *entry, size_t entry_bytes,
                      uint64_t places)
    bint l4_ring_peek(const l4_ring *ring, const void *entries, uint64_t *position, void *entry,
                      size_t entry_bytes, uint64_t places)
    void l4_ring_release(l4_ring *ring, uint64_t position)


cdef extern from "core/pool_view.h":
    int l4_view_publish(const l4_table *table, uint32_t pool) nogil
