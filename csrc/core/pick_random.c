/* random: two drawn by weight, the less loaded of them (Mitzenmacher, "The power of two choices
 * in randomized load balancing", IEEE TPDS 12(10), 2001).
 *
 * Drawn from the round-robin schedule, in which each has as many slots as its weight. Where most
 * backends are unusable and draws keep failing, a walk finds one. */
#include "base/random.h"
#include "core/pick.h"
#include "core/scan.h"

static uint32_t draw(struct l4_pick_context *context, uint64_t *state)
{
    const uint32_t slots = context->view->slots;
    for (int i = 0; i < L4_RANDOM_TRIES; i++) {
        const uint32_t backend = context->slots[l4_hash_below(l4_random(state), slots)];
        if (!l4_pick_usable(context, backend))
            continue;
        const struct l4_backend *b = l4_table_backend(context->table, backend);
        const uint64_t whole = 1024ull * L4_GET(b->weight), now = l4_pick_weight(context, b);
        if (now >= whole || l4_hash_below(l4_random(state), (uint32_t)whole) < now)
            return backend;
    }
    struct l4_scan scan = l4_scan_from(context, l4_random(state));
    return l4_scan_next(&scan, context);
}

static struct l4_pick_proposal propose(struct l4_pick_context *context)
{
    struct l4_pick_proposal found = {.backend = L4_NONE};
    uint64_t state = context->request->random;
    if (context->view->slots == 0 || context->view->slots > L4_SLOTS_MAX)
        return found;
    const uint32_t one = draw(context, &state);
    if (one == L4_NONE)
        return found;
    const uint32_t other = draw(context, &state);
    found.backend = one;
    if (other != L4_NONE && other != one) {
        const struct l4_backend *a = l4_table_backend(context->table, one);
        const struct l4_backend *b = l4_table_backend(context->table, other);
        if ((2ull * L4_GET(b->inflight) + 1) * l4_pick_weight(context, a) <
            (2ull * L4_GET(a->inflight) + 1) * l4_pick_weight(context, b))
            found.backend = other;
    }
    return found;
}

const struct l4_pick_ops l4_pick_random = {.name = "random", .propose = propose};
