#include "core/view.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/schedule.h"

struct scratch {
    uint32_t *weights, *scaled;
    int64_t *credit;
};

static uint32_t gather(const struct l4_table *table, uint32_t pool, uint16_t *members,
                       uint32_t *weights)
{
    const uint32_t backends = L4_GET(table->header->backends_high);
    uint32_t count = 0;
    for (uint32_t i = 0; i < backends; i++) {
        const struct l4_backend *b = l4_table_backend(table, i);
        if (!L4_GET(b->used) || b->pool != pool)
            continue;
        members[count] = (uint16_t)i;
        weights[count++] = L4_GET(b->weight);
    }
    return count;
}

static void build(const struct l4_table *table, uint32_t pool, const struct scratch *scratch)
{
    struct l4_pool *row = l4_table_pool(table, pool);
    const uint32_t generation = L4_GET(row->view_generation) + 1;
    struct l4_view *view = l4_table_view(table, pool, generation);
    uint16_t *members = l4_view_members(view), *slots = l4_view_slots(table, view);

    view->members = gather(table, pool, members, scratch->weights);
    view->slots = l4_schedule_build(scratch->weights, view->members, scratch->scaled,
                                    scratch->credit, slots);
    for (uint32_t i = 0; i < view->slots; i++)
        slots[i] = members[slots[i]];
    view->first_ticket = L4_GET(row->ticket);
    atomic_store_explicit(&row->view_generation, generation, memory_order_release);
}

int l4_view_publish(const struct l4_table *table, uint32_t pool)
{
    const size_t most = table->header->caps.backends;
    struct scratch scratch = {
        .weights = malloc(most * sizeof *scratch.weights),
        .scaled = malloc(most * sizeof *scratch.scaled),
        .credit = malloc(most * sizeof *scratch.credit),
    };
    const bool enough = scratch.weights && scratch.scaled && scratch.credit;
    if (enough)
        build(table, pool, &scratch);
    free(scratch.weights);
    free(scratch.scaled);
    free(scratch.credit);
    return enough ? 0 : -ENOMEM;
}
