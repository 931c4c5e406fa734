/* least_response_time: the smallest response time x (sessions + 1) / weight.
 *
 * The response time is that of core/response.h, which all workers share, plus a constant that
 * hides differences of a few microseconds. Of the backends within a quarter of the smallest value
 * the next in turn serves: equal backends share evenly, and noise moves no clients. A backend
 * whose time is unknown, or has faded completely, counts as fast, so that it is tried soon.
 */
#include "core/pick.h"
#include "core/pool_scan.h"
#include "core/response.h"

static struct l4_pick_proposal propose(struct l4_pick_context *context)
{
    struct l4_pick_proposal best = {.backend = L4_NONE};
    double min = 0;
    struct l4_scan scan = l4_scan_from(context, l4_pick_ticket(context));
    for (uint32_t backend; (backend = l4_scan_next(&scan, context)) != L4_NONE;) {
        const struct l4_backend *b = l4_table_backend(context->table, backend);
        const double time =
            (double)L4_RESPONSE_FLOOR_US + l4_response_of(b, context->request->now_ms);
        const double load = time * (L4_GET(b->inflight) + 1.0) / (double)l4_pick_weight(context, b);
        if (best.backend == L4_NONE || load * 1.25 < min) {
            best.backend = backend;
            min = load;
        }
    }
    return best;
}

const struct l4_pick_ops l4_pick_least_response_time = {
    .name = "least_response_time",
    .propose = propose,
};
