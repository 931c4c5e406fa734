/* round_robin: the next ticket of all workers together names the slot of the schedule.
 *
 * Exact: each ticket is taken once. A slot whose backend is unusable is passed by taking another
 * ticket, so the usable ones keep their shares and their order; one that starts slowly lets as
 * many of its slots pass as its weight has still to grow. When one period holds nothing usable
 * there is none; when many in a row pass because they start slowly, all do, and any serves. */
#include "core/pick.h"
#include "shm/table.h"

static struct l4_pick_proposal propose(struct l4_pick_context *context)
{
    const uint32_t slots = context->view->slots;
    if (slots == 0 || slots > L4_SLOTS_MAX)
        return (struct l4_pick_proposal){.backend = L4_NONE};
    const uint64_t first = context->view->first_ticket;
    uint32_t found = L4_NONE, passed = 0;
    for (uint32_t i = 0; i < slots && passed < L4_SLOW_PASSES; i++) {
        const uint64_t ticket = l4_pick_ticket(context) + (context->request->dry ? i : 0);
        const uint32_t backend = context->slots[(ticket - first) % slots];
        if (!l4_pick_usable(context, backend))
            continue;
        if (l4_pick_ripe(context, l4_table_backend(context->table, backend), ticket))
            return (struct l4_pick_proposal){.backend = backend};
        /* why: by lot, so that who serves does not depend on where the walk began and ended. */
        if (l4_hash_below(l4_hash_again(ticket, 1), ++passed) == 0)
            found = backend;
    }
    return (struct l4_pick_proposal){.backend = found};
}

const struct l4_pick_ops l4_pick_round_robin = {.name = "round_robin", .propose = propose};
