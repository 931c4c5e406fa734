#include "shm/needs.h"

static uint32_t needs_of_limits(const struct l4_limits *limits)
{
    uint32_t needs = 0;
    for (uint32_t kind = 0; kind < L4_LIMITS; kind++) {
        if (L4_GET(limits->limits[kind].value))
            needs |= kind < L4_LIMIT_SESSION_BANDWIDTH ? L4_NEEDS_LIMITS
                                                       : L4_NEEDS_LIMITS | L4_NEEDS_PACE;
    }
    if (L4_GET(limits->first_byte_ms) || L4_GET(limits->max_age_ms))
        needs |= L4_NEEDS_PACE;
    return needs;
}

uint32_t l4_needs_of(const struct l4_header *header, const struct l4_policy *edge)
{
    uint32_t needs = L4_GET(edge->asked) | needs_of_limits(&edge->limits);
    if (L4_GET(edge->routes_count[L4_GET(header->routes_generation) & 1]))
        needs |= L4_NEEDS_ROUTE;
    if (L4_GET(edge->access_set) != L4_NONE || L4_GET(edge->rules_set) != L4_NONE)
        needs |= L4_NEEDS_ACCESS;
    if (L4_GET(header->blocks))
        needs |= L4_NEEDS_BLOCKS;
    return needs;
}

void l4_needs_settle(const struct l4_table *table, uint32_t listener)
{
    struct l4_listener *row = l4_table_listener(table, listener);
    const uint32_t http = L4_GET(row->protocol) == L4_HTTP ? L4_NEEDS_REQUEST : 0;
    atomic_store(&row->edge.needs, l4_needs_of(table->header, &row->edge) | http);
}

void l4_needs_settle_all(const struct l4_table *table)
{
    for (uint32_t i = 0; i < table->plan.caps.listeners; i++) {
        if (L4_GET(l4_table_listener(table, i)->used))
            l4_needs_settle(table, i);
    }
}
