#include "core/http_route.h"

#include <string.h>

#include "shm/policy_rows.h"

static struct l4_router_memory half_of(const struct l4_table *table, uint32_t generation)
{
    const char *half = (const char *)table->header + table->plan.http_routes_at +
                       (size_t)(generation & 1) * L4_HTTP_ROUTES_BYTES;
    return (struct l4_router_memory){half, L4_HTTP_ROUTES_BYTES};
}

/* Returns the offset of the listener's routes in the half in force; 0: it has none. */
static uint32_t begin(const struct l4_table *table, uint32_t listener,
                      struct l4_http_choice *choice)
{
    const struct l4_policy *edge = &l4_table_listener(table, listener)->edge;
    choice->generation =
        atomic_load_explicit(&table->header->http_routes_generation, memory_order_acquire);
    choice->memory = half_of(table, choice->generation);
    return L4_GET(edge->http_routes_at[choice->generation & 1]);
}

bool l4_http_route_stays(const struct l4_table *table, const struct l4_http_choice *choice)
{
    atomic_thread_fence(memory_order_acquire);
    return choice->generation == L4_GET(table->header->http_routes_generation);
}

bool l4_http_route_choose(const struct l4_table *table, uint32_t listener,
                          const struct l4_router_request *request, uint32_t from,
                          struct l4_http_choice *choice)
{
    for (;;) { /* it ends: each further round needs a change of all routes during the one before */
        const uint32_t at = begin(table, listener, choice);
        choice->answer.number = L4_NONE;
        const bool found =
            at && l4_router_choose(&choice->memory, at, request, from, &choice->answer);
        if (l4_http_route_stays(table, choice))
            return found;
    }
}

/* Returns the offset of a listener's rules of this kind in the half in force; 0: it has none. */
static uint32_t begin_rules(const struct l4_table *table, uint32_t listener,
                            enum l4_router_rule_kind kind, struct l4_http_choice *choice)
{
    const uint32_t at = begin(table, listener, choice);
    choice->answer.number = L4_NONE;
    return at ? l4_router_rules(&choice->memory, at, kind) : 0;
}

bool l4_http_filter_choose(const struct l4_table *table, uint32_t listener,
                           const struct l4_router_request *request, uint32_t from,
                           struct l4_http_choice *choice)
{
    const uint32_t before = from ? choice->generation : 0;
    for (;;) { /* it ends as l4_http_route_choose does */
        const uint32_t at = begin_rules(table, listener, L4_ROUTER_FILTER, choice);
        const uint32_t first = choice->generation == before ? from : 0;
        const bool found =
            at && l4_router_choose(&choice->memory, at, request, first, &choice->answer);
        if (l4_http_route_stays(table, choice))
            return found;
    }
}

bool l4_http_filter_read(const struct l4_table *table, uint32_t listener, uint32_t number,
                         struct l4_http_choice *choice)
{
    for (;;) { /* it ends as l4_http_route_choose does */
        const uint32_t at = begin_rules(table, listener, L4_ROUTER_FILTER, choice);
        const bool found = at && l4_router_read(&choice->memory, at, number, &choice->answer);
        if (l4_http_route_stays(table, choice))
            return found;
    }
}

void l4_http_inspections_choose(const struct l4_table *table, uint32_t listener,
                                const struct l4_router_request *request,
                                struct l4_http_inspections *chosen)
{
    struct l4_http_choice choice;
    struct l4_router_inspection inspection;
    do { /* it ends as l4_http_route_choose does */
        const uint32_t at = begin_rules(table, listener, L4_ROUTER_INSPECTIONS, &choice);
        *chosen = (struct l4_http_inspections){0};
        for (uint32_t from = 0; at && !(chosen->request && chosen->answer);
             from = choice.answer.number + 1) {
            if (!l4_router_choose(&choice.memory, at, request, from, &choice.answer) ||
                !l4_router_inspection(&choice.memory, &choice.answer.route, &inspection))
                break;
            const uint32_t slot = choice.answer.route.slot + 1;
            if (!chosen->request && inspection.what & L4_INSPECTS_REQUESTS)
                chosen->request = slot;
            if (!chosen->answer && inspection.what & L4_INSPECTS_ANSWERS)
                chosen->answer = slot;
        }
    } while (!l4_http_route_stays(table, &choice));
}

bool l4_http_inspection_read(const struct l4_table *table, uint32_t listener, uint32_t number,
                             struct l4_http_choice *choice, struct l4_router_inspection *inspection)
{
    for (;;) { /* it ends as l4_http_route_choose does */
        const uint32_t at = begin_rules(table, listener, L4_ROUTER_INSPECTIONS, choice);
        const bool found = at && l4_router_read(&choice->memory, at, number, &choice->answer) &&
                           l4_router_inspection(&choice->memory, &choice->answer.route, inspection);
        if (l4_http_route_stays(table, choice))
            return found;
    }
}

bool l4_http_has_recordings(const struct l4_table *table, uint32_t listener)
{
    struct l4_http_choice choice;
    return begin_rules(table, listener, L4_ROUTER_RECORDINGS, &choice);
}

bool l4_http_recording_choose(const struct l4_table *table, uint32_t listener,
                              const struct l4_router_request *request,
                              struct l4_http_choice *choice, struct l4_router_recording *recording)
{
    for (;;) { /* it ends as l4_http_route_choose does */
        const uint32_t at = begin_rules(table, listener, L4_ROUTER_RECORDINGS, choice);
        const bool found = at &&
                           l4_router_choose(&choice->memory, at, request, 0, &choice->answer) &&
                           l4_router_recording(&choice->memory, &choice->answer.route, recording);
        if (l4_http_route_stays(table, choice))
            return found;
    }
}

bool l4_http_route_find(const struct l4_table *table, uint32_t listener, uint32_t slot,
                        struct l4_http_choice *choice)
{
    for (;;) { /* it ends as l4_http_route_choose does */
        const uint32_t at = begin(table, listener, choice);
        choice->answer.number = L4_NONE;
        bool found = at && l4_router_find(&choice->memory, at, slot, &choice->answer);
        for (enum l4_router_rule_kind kind = 0; at && !found && kind < L4_ROUTER_RULES; kind++) {
            const uint32_t rules = l4_router_rules(&choice->memory, at, kind);
            found = rules && l4_router_find(&choice->memory, rules, slot, &choice->answer);
        }
        if (l4_http_route_stays(table, choice))
            return found;
    }
}

void l4_http_route_publish(const struct l4_table *table, const void *routes, uint32_t bytes,
                           const uint32_t *ats)
{
    const uint32_t next = L4_GET(table->header->http_routes_generation) + 1;
    /* why: a reader that still uses this half must not see the new contents together with the
     * generation in which the old contents were in force. */
    atomic_thread_fence(memory_order_release);
    memcpy((char *)table->header + table->plan.http_routes_at +
               (size_t)(next & 1) * L4_HTTP_ROUTES_BYTES,
           routes, bytes < L4_HTTP_ROUTES_BYTES ? bytes : L4_HTTP_ROUTES_BYTES);
    for (uint32_t i = 0; i < table->plan.caps.listeners; i++)
        L4_SET(l4_table_listener(table, i)->edge.http_routes_at[next & 1], ats[i]);
    atomic_store_explicit(&table->header->http_routes_generation, next, memory_order_release);
}

uint32_t l4_http_route_slot(const struct l4_table *table, uint32_t listener, uint32_t number)
{
    struct l4_http_choice choice = {0};
    for (;;) { /* it ends as l4_http_route_choose does */
        uint32_t slot = L4_NONE;
        const uint32_t at = begin(table, listener, &choice);
        if (at && l4_router_read(&choice.memory, at, number, &choice.answer))
            slot = choice.answer.route.slot;
        if (l4_http_route_stays(table, &choice))
            return slot;
    }
}

uint64_t l4_http_route_hits(const struct l4_table *table, uint32_t slot)
{
    uint64_t hits = 0;
    for (uint32_t worker = 0; worker < table->plan.caps.workers; worker++)
        hits += L4_GET(*l4_table_route_hits(table, worker, slot));
    return hits;
}

void l4_http_route_forget(const struct l4_table *table, uint32_t slot)
{
    for (uint32_t worker = 0; worker < table->plan.caps.workers; worker++)
        L4_SET(*l4_table_route_hits(table, worker, slot), 0);
}
