#include "core/pool_view.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "core/effective_weight.h"
#include "core/maglev.h"
#include "core/schedule.h"
#include "shm/row_reuse.h"

struct scratch {
    uint32_t *weights, *scaled;
    int64_t *credit;
    struct l4_maglev_member *hashed;
    uint64_t *taken;
};

static uint32_t gather(const struct l4_table *table, uint32_t pool, uint16_t *members,
                       uint32_t *weights)
{
    const uint32_t backends = l4_table_backends_high(table);
    uint32_t count = 0;
    for (uint32_t i = 0; i < backends; i++) {
        const struct l4_backend *b = l4_table_backend(table, i);
        if (!L4_GET(b->used) || b->pool != pool)
            continue;
        members[count] = (uint16_t)i;
        weights[count++] = l4_share(b);
    }
    return count;
}

/* why not the installation's key: no client can choose names, and with a fixed key equal
 * configurations have equal tables on every host. */
static const struct l4_hash_key name_key = {0x6c34207072696d65ull, 0x206f66206e616d65ull};

/* Builds the Maglev table. A member's slots depend on its name, not on its row or order. */
static uint32_t build_maglev(const struct l4_table *table, uint32_t size, const uint16_t *members,
                             uint32_t count, const struct scratch *scratch, uint16_t *slots)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct l4_backend *b = l4_table_backend(table, members[i]);
        scratch->hashed[i] = (struct l4_maglev_member){
            .name_hash = l4_hash(&name_key, b->name, strlen(b->name)),
            /* A backup gets no slots: its keys would miss it as long as a primary is up. */
            .weight = L4_GET(b->flags) & L4_BACKUP ? 0 : scratch->weights[i],
            .backend = members[i],
        };
    }
    return l4_maglev_build(scratch->hashed, count, size, scratch->taken, slots);
}

static void build(const struct l4_table *table, uint32_t pool, const struct scratch *scratch)
{
    struct l4_pool *row = l4_table_pool(table, pool);
    const uint32_t generation = L4_GET(row->view_generation) + 1;
    const uint32_t size = L4_GET(row->maglev_size);
    struct l4_view *view = l4_table_view(table, pool, generation);
    /* why: as in l4_access_begin, a pick that still reads this view must see that another is in
     * force. */
    atomic_thread_fence(memory_order_release);
    uint16_t *members = l4_view_members(view), *slots = l4_view_slots(table, view);

    view->members = gather(table, pool, members, scratch->weights);
    L4_ASSERT(view->members <= table->plan.caps.backends);
    view->weights = 0;
    for (uint32_t i = 0; i < view->members; i++)
        view->weights += scratch->weights[i];
    view->slots =
        l4_schedule_build(scratch->weights, view->members, scratch->scaled, scratch->credit, slots);
    L4_ASSERT(view->slots <= L4_SLOTS_MAX);
    for (uint32_t i = 0; i < view->slots; i++)
        slots[i] = members[slots[i]];
    view->maglev = 0;
    if (size > 2 && size <= L4_MAGLEV_MAX)
        view->maglev =
            build_maglev(table, size, members, view->members, scratch, l4_view_maglev(table, view));
    view->first_ticket = L4_GET(row->ticket);
    atomic_store_explicit(&row->view_generation, generation, memory_order_release);
}

int l4_view_publish(const struct l4_table *table, uint32_t pool)
{
    const size_t max = table->plan.caps.backends;
    struct scratch scratch = {
        .weights = malloc(max * sizeof *scratch.weights),
        .scaled = malloc(max * sizeof *scratch.scaled),
        .credit = malloc(max * sizeof *scratch.credit),
        .hashed = malloc(max * sizeof *scratch.hashed),
        .taken = malloc((L4_MAGLEV_MAX + 63) / 64 * sizeof *scratch.taken),
    };
    const bool enough =
        scratch.weights && scratch.scaled && scratch.credit && scratch.hashed && scratch.taken;
    if (enough)
        build(table, pool, &scratch);
    free(scratch.weights);
    free(scratch.scaled);
    free(scratch.credit);
    free(scratch.hashed);
    free(scratch.taken);
    return enough ? 0 : -ENOMEM;
}
