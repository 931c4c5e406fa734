/* A small table for tests, with one pool of equal backends. */
#ifndef L4_TESTS_TABLE_H
#define L4_TESTS_TABLE_H

#include <stdlib.h>

#include "core/pick.h"
#include "core/pool_view.h"
#include "shm/count.h"
#include "shm/table.h"

static struct l4_table table;

static inline void table_with_caps(const struct l4_caps *caps, const uint32_t *weights,
                                   enum l4_balance balance)
{
    const uint32_t backends = caps->backends, workers = caps->workers;
    if (l4_table_create(&table, caps))
        abort();
    struct l4_pool *pool = l4_table_pool(&table, 0);
    L4_SET(pool->used, 1);
    L4_SET(pool->balance, balance);
    for (uint32_t i = 0; i < backends; i++) {
        struct l4_backend *b = l4_table_backend(&table, i);
        L4_SET(b->weight, weights ? weights[i] : 1);
        L4_SET(b->used, 1);
    }
    L4_SET(table.header->backends_high, backends);
    L4_SET(table.header->workers_high, workers);
    if (l4_view_publish(&table, 0))
        abort();
}

static inline void table_with(uint32_t workers, uint32_t backends, const uint32_t *weights,
                              enum l4_balance balance)
{
    const struct l4_caps caps = {
        .workers = workers, .listeners = 2, .pools = 2, .backends = backends, .sessions = 8};
    table_with_caps(&caps, weights, balance);
}

static inline uint32_t pick_for(uint32_t worker)
{
    const struct l4_pick_request request = {.worker = worker};
    return l4_pick(&table, &request).backend;
}

#endif
