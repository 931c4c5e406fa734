/* random: two backends drawn by weight, the less loaded of them (Mitzenmacher, "The power of two
 * choices in randomized load balancing", IEEE TPDS 12(10), 2001).
 *
 * The draw is from the round-robin schedule, in which each backend has as many slots as its
 * weight. The second backend serves only if it has at least two sessions less. Otherwise a
 * session that has just ended and still counts would turn the next client away, and the shares
 * would not follow the weights. If most backends are unusable and draws keep failing, a walk
 * finds a usable one.
 */
#include "base/random.h"
#include "core/pick.h"
#include "core/pool_scan.h"

static uint32_t draw(struct l4_pick_context *context, uint64_t *state)
{
    const uint32_t slots = context->view->slots;
    for (int i = 0; i < L4_RANDOM_TRIES; i++) {
        const uint32_t backend = context->slots[l4_hash_below(l4_random(state), slots)];
        if (!l4_pick_usable(context, backend))
            continue;
        const struct l4_backend *b = l4_table_backend(context->table, backend);
        if (l4_pick_ripe(context, b, l4_random(state)))
            return backend;
    }
    struct l4_scan scan = l4_scan_from(context, l4_random(state));
    return l4_scan_next(&scan, context);
}

/* (y's sessions + 1) / weight <= (x's sessions - 1) / weight */
static bool is_lighter(const struct l4_pick_context *context, uint32_t y, uint32_t x)
{
    const struct l4_backend *one = l4_table_backend(context->table, x);
    const struct l4_backend *other = l4_table_backend(context->table, y);
    const uint64_t held = L4_GET(one->inflight);
    return held > 1 && (L4_GET(other->inflight) + 1ull) * l4_pick_weight(context, one) <=
                           (held - 1) * l4_pick_weight(context, other);
}

static struct l4_pick_proposal propose(struct l4_pick_context *context)
{
    uint64_t state = context->request->random;
    if (context->view->slots == 0 || context->view->slots > L4_SLOTS_MAX)
        return (struct l4_pick_proposal){.backend = L4_NONE};
    const uint32_t one = draw(context, &state);
    const uint32_t other = one == L4_NONE ? L4_NONE : draw(context, &state);
    const bool second = other != L4_NONE && is_lighter(context, other, one);
    return (struct l4_pick_proposal){.backend = second ? other : one};
}

const struct l4_pick_ops l4_pick_random = {.name = "random", .propose = propose};
