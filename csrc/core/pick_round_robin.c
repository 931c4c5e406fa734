/* round_robin: the next ticket of all workers together names the slot of the schedule.
 *
 * Exact: each ticket is taken once. A slot whose backend is unusable is passed by taking another
 * ticket, so the usable ones keep their shares and their order; one that starts slowly lets as
 * many of its slots pass as its weight has still to grow. When one period holds nothing usable
 * there is none; when all that is usable starts slowly, the first of them serves. */
#include "core/pick.h"
#include "shm/table.h"

/* Does a slowly starting backend take this ticket? As often as its grown share of its weight. */
static bool takes(const struct l4_pick_context *context, uint32_t backend, uint64_t ticket)
{
    const struct l4_backend *b = l4_table_backend(context->table, backend);
    const uint64_t whole = 1024ull * L4_GET(b->weight), now = l4_pick_weight(context, b);
    return now >= whole || l4_hash_below(l4_hash_again(ticket, 0), (uint32_t)whole) < now;
}

static struct l4_pick_proposal propose(struct l4_pick_context *context)
{
    struct l4_pick_proposal found = {.backend = L4_NONE};
    const uint32_t slots = context->view->slots;
    if (slots == 0 || slots > L4_SLOTS_MAX)
        return found;
    const uint64_t first = context->view->first_ticket;
    for (uint32_t i = 0; i < slots; i++) {
        const uint64_t ticket = l4_pick_ticket(context) + (context->request->dry ? i : 0);
        const uint32_t backend = context->slots[(ticket - first) % slots];
        if (!l4_pick_usable(context, backend))
            continue;
        if (takes(context, backend, ticket))
            return (struct l4_pick_proposal){.backend = backend};
        if (found.backend == L4_NONE)
            found.backend = backend;
    }
    return found;
}

const struct l4_pick_ops l4_pick_round_robin = {.name = "round_robin", .propose = propose};
