/* Functions from an index to a row of shm/listener_policy.h and shm/limits.h. */
#ifndef L4_SHM_POLICY_ROWS_H
#define L4_SHM_POLICY_ROWS_H

#include "shm/table.h"

static inline struct l4_facts *l4_table_facts(const struct l4_table *table, uint32_t worker,
                                              uint32_t session)
{
    struct l4_facts *first = (struct l4_facts *)((char *)table->header + table->plan.facts_at);
    const struct l4_caps *caps = &table->plan.caps;
    return first + l4_row_of(worker, caps->workers) * caps->sessions +
           l4_row_of(session, caps->sessions);
}

static inline struct l4_source_group *l4_table_sources(const struct l4_table *table, uint32_t group)
{
    return (struct l4_source_group *)((char *)table->header + table->plan.sources_at) +
           l4_row_of(group, L4_SOURCE_GROUPS);
}

/* A worker's part of the number of sessions of a source. */
static inline _Atomic uint32_t *l4_table_source_part(const struct l4_table *table, uint32_t worker,
                                                     uint32_t source)
{
    _Atomic uint32_t *first =
        (_Atomic uint32_t *)((char *)table->header + table->plan.source_parts_at);
    const uint32_t sources = L4_SOURCE_GROUPS * L4_SOURCE_WAYS;
    return first + l4_row_of(worker, table->plan.caps.workers) * sources +
           l4_row_of(source, sources);
}

/* The first row of one half of the routes. */
static inline struct l4_route *l4_table_routes(const struct l4_table *table, uint32_t generation)
{
    struct l4_route *first = (struct l4_route *)((char *)table->header + table->plan.routes_at);
    return first + (size_t)(generation & 1) * L4_ROUTES_MAX;
}

static inline struct l4_talkers *l4_table_talkers(const struct l4_table *table, uint32_t worker)
{
    return (struct l4_talkers *)((char *)table->header + table->plan.talkers_at) +
           l4_row_of(worker, table->plan.caps.workers);
}

static inline struct l4_block *l4_table_block(const struct l4_table *table, uint32_t index)
{
    return (struct l4_block *)((char *)table->header + table->plan.blocks_at) +
           l4_row_of(index, L4_BLOCKS_MAX);
}

#endif
