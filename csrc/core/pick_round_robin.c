/* round_robin: the next ticket of all workers together names the slot of the schedule.
 *
 * Exact: each ticket is taken once. A slot whose backend is unusable is passed by taking another
 * ticket, so the usable ones keep their shares and their order. When one period holds no usable
 * backend there is none. */
#include "core/pick.h"
#include "shm/table.h"

static struct l4_pick_proposal propose(const struct l4_pick_context *context)
{
    struct l4_pick_proposal found = {.backend = L4_NONE};
    const uint32_t slots = context->view->slots;
    if (slots == 0 || slots > L4_SLOTS_MAX)
        return found;
    for (uint32_t i = 0; i < slots; i++) {
        const uint64_t ticket =
            atomic_fetch_add_explicit(&context->pool->ticket, 1, memory_order_relaxed);
        const uint32_t backend = context->slots[(ticket - context->view->first_ticket) % slots];
        if (l4_pick_usable(context, backend)) {
            found.backend = backend;
            return found;
        }
    }
    return found;
}

const struct l4_pick_ops l4_pick_round_robin = {.name = "round_robin", .propose = propose};
