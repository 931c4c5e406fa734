/* Functions from an index to a row of shm/listener_policy.h and shm/limits.h. */
#ifndef L4_SHM_POLICY_ROWS_H
#define L4_SHM_POLICY_ROWS_H

#include "shm/table.h"

static inline struct l4_facts *l4_table_facts(const struct l4_table *table, uint32_t worker,
                                              uint32_t session)
{
    struct l4_facts *first = (struct l4_facts *)((char *)table->header + table->plan.facts_at);
    return first + (size_t)worker * table->plan.caps.sessions + session;
}

static inline struct l4_source_group *l4_table_sources(const struct l4_table *table, uint32_t group)
{
    return (struct l4_source_group *)((char *)table->header + table->plan.sources_at) + group;
}

/* A worker's part of the number of sessions of a source. */
static inline _Atomic uint32_t *l4_table_source_part(const struct l4_table *table, uint32_t worker,
                                                     uint32_t source)
{
    _Atomic uint32_t *first =
        (_Atomic uint32_t *)((char *)table->header + table->plan.source_parts_at);
    return first + (size_t)worker * L4_SOURCE_GROUPS * L4_SOURCE_WAYS + source;
}

/* The first row of one half of the routes. */
static inline struct l4_route *l4_table_routes(const struct l4_table *table, uint32_t generation)
{
    struct l4_route *first = (struct l4_route *)((char *)table->header + table->plan.routes_at);
    return first + (size_t)(generation & 1) * L4_ROUTES_MAX;
}

static inline struct l4_talkers *l4_table_talkers(const struct l4_table *table, uint32_t worker)
{
    return (struct l4_talkers *)((char *)table->header + table->plan.talkers_at) + worker;
}

static inline struct l4_block *l4_table_block(const struct l4_table *table, uint32_t index)
{
    return (struct l4_block *)((char *)table->header + table->plan.blocks_at) + index;
}

#endif
