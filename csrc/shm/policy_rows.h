/* Functions from an index to a row of shm/listener_policy.h and shm/limits.h. */
#ifndef L4_SHM_POLICY_ROWS_H
#define L4_SHM_POLICY_ROWS_H

#include "shm/table.h"

L4_WORKER_ROW(struct l4_facts, l4_table_facts, facts_at, caps->sessions)
L4_ROW(struct l4_source_group, l4_table_sources, sources_at, L4_SOURCE_GROUPS)
/* A worker's number of requests that a route took, by the route's slot. */
L4_WORKER_ROW(_Atomic uint64_t, l4_table_route_hits, route_hits_at, L4_HTTP_ROUTES_MAX)
/* A worker's part of the number of sessions of a source. */
L4_WORKER_ROW(_Atomic uint32_t, l4_table_source_part, source_parts_at,
              L4_SOURCE_GROUPS *L4_SOURCE_WAYS)
L4_ROW(struct l4_talkers, l4_table_talkers, talkers_at, caps->workers)
L4_ROW(struct l4_block, l4_table_block, blocks_at, L4_BLOCKS_MAX)

/* The first row of one half of the routes. */
static inline struct l4_route *l4_table_routes(const struct l4_table *table, uint32_t generation)
{
    struct l4_route *first = (struct l4_route *)((char *)table->header + table->plan.routes_at);
    return first + (size_t)(generation & 1) * L4_ROUTES_MAX;
}

/* The first byte of one half of the texts: core/http_texts.h. */
static inline char *l4_table_texts(const struct l4_table *table, uint32_t generation)
{
    return (char *)table->header + table->plan.texts_at +
           (size_t)(generation & 1) * L4_HTTP_TEXTS_BYTES;
}

#endif
