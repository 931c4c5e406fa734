/* round_robin: the next ticket of all workers together selects a slot of the schedule.
 *
 * Exact: each ticket is taken once. A slot whose backend is unusable is skipped by taking another
 * ticket, so the usable backends keep their shares and their order. A backend in its slow start
 * skips the part of its slots that its weight has still to grow. If one period has no usable
 * backend, there is none. If many slots in a row are skipped because of slow starts, all backends
 * start slowly, and any of them serves.
 */
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
        /* why at random: the choice must not depend on where the walk began and ended. */
        if (l4_hash_below(l4_hash_again(ticket, 1), ++passed) == 0)
            found = backend;
    }
    return (struct l4_pick_proposal){.backend = found};
}

const struct l4_pick_ops l4_pick_round_robin = {.name = "round_robin", .propose = propose};
