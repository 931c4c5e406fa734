/* least_connections: the smallest (2 x sessions + 1) / weight over all workers' sessions.
 *
 * That quotient is Webster's: sessions at rest stay within one of each backend's exact share.
 * Equal ones go round in turn, so that an idle pool is not all first backend. Exact: the place is
 * taken only if the count is still the one seen. */
#include "core/pick.h"
#include "shm/table.h"

static struct l4_pick_proposal propose(const struct l4_pick_context *context)
{
    struct l4_pick_proposal best = {.backend = L4_NONE, .exact = true};
    uint64_t best_load = 0, best_weight = 0;
    uint32_t members = context->view->members;
    if (members > context->table->header->caps.backends)
        members = context->table->header->caps.backends;
    if (members == 0)
        return best;
    uint32_t at = (uint32_t)(atomic_fetch_add_explicit(&context->pool->ticket, 1,
                                                       memory_order_relaxed) %
                             members);
    for (uint32_t i = 0; i < members; i++, at = at + 1 == members ? 0 : at + 1) {
        const uint32_t backend = context->members[at];
        if (!l4_pick_usable(context, backend))
            continue;
        const struct l4_backend *b = l4_table_backend(context->table, backend);
        const uint32_t seen = L4_GET(b->inflight);
        const uint64_t load = 2ull * seen + 1, weight = L4_GET(b->weight);
        if (best.backend == L4_NONE || load * best_weight < best_load * weight) {
            best.backend = backend;
            best.seen = seen;
            best_load = load;
            best_weight = weight;
        }
    }
    return best;
}

const struct l4_pick_ops l4_pick_least_connections = {
    .name = "least_connections",
    .propose = propose,
};
