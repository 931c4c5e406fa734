/* least_connections: the smallest (2 x sessions + 1) / weight, by the sessions of all workers.
 *
 * This quotient is Webster's: at rest, each backend's sessions are within one of its exact share.
 * Equal backends take turns, so that an idle pool does not use only its first backend. Exact: the
 * place is taken only if the count is still the one seen.
 */
#include "core/pick.h"
#include "core/pool_scan.h"

static struct l4_pick_proposal propose(struct l4_pick_context *context)
{
    struct l4_pick_proposal best = {.backend = L4_NONE, .exact = true};
    uint64_t best_load = 0, best_weight = 0;
    struct l4_scan scan = l4_scan_from(context, l4_pick_ticket(context));
    for (uint32_t backend; (backend = l4_scan_next(&scan, context)) != L4_NONE;) {
        const struct l4_backend *b = l4_table_backend(context->table, backend);
        const uint32_t seen = L4_GET(b->inflight);
        const uint64_t load = 2ull * seen + 1, weight = l4_pick_weight(context, b);
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
