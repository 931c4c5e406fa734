/* ip_hash and maglev: the client's hash selects a slot of a table. A client gets the same backend
 * as long as that backend is usable.
 *
 * The algorithms differ in the table. ip_hash uses the round-robin schedule: even and small, but
 * a change of membership moves most clients. maglev uses the Maglev table: a change moves few
 * clients. In both, a client whose backend is unusable hashes again, so the clients of a dead
 * backend spread evenly over the others, and no other client moves. A backend in its slow start
 * gets its clients one by one, as its weight grows. With hash_balance_factor a backend is also
 * skipped if its load would exceed that part of the mean (Mirrokni, Thorup and Zadimoghaddam,
 * "Consistent hashing with bounded loads", SODA 2018).
 */
#include "core/effective_weight.h"
#include "core/pick.h"
#include "core/pool_scan.h"

/* True if one more session would exceed this backend's bound. */
static bool is_over(const struct l4_pick_context *context, uint32_t backend)
{
    const uint64_t percent = L4_GET(context->pool->hash_balance_percent);
    if (!percent)
        return false;
    const struct l4_backend *b = l4_table_backend(context->table, backend);
    const uint64_t all = L4_GET(context->pool->inflight) + 1ull;
    const uint64_t mine = L4_GET(b->inflight) + 1ull;
    /* the bound: sessions <= ceil(percent / 100 x all x weight / weights) */
    const uint64_t weights = context->view->weights ? context->view->weights : 1;
    const uint64_t share = percent * all * l4_share(b);
    return mine > (share + 100 * weights - 1) / (100 * weights);
}

static struct l4_pick_proposal look_up(struct l4_pick_context *context, const uint16_t *table,
                                       uint32_t slots)
{
    const uint64_t hash = context->request->hash;
    if (slots == 0)
        return (struct l4_pick_proposal){.backend = L4_NONE};
    for (uint64_t i = 0; i < L4_HASH_TRIES; i++) {
        const uint32_t slot = l4_hash_below(i ? l4_hash_again(hash, i) : hash, slots);
        const uint32_t backend = table[slot];
        if (l4_pick_usable(context, backend) && !is_over(context, backend) &&
            l4_pick_ripe(context, l4_table_backend(context->table, backend), hash))
            return (struct l4_pick_proposal){.backend = backend};
    }
    /* Few backends are usable, or (backups) none has a slot: take the next usable one. */
    struct l4_scan scan = l4_scan_from(context, hash);
    return (struct l4_pick_proposal){.backend = l4_scan_next(&scan, context)};
}

static struct l4_pick_proposal propose_ip_hash(struct l4_pick_context *context)
{
    const uint32_t slots = context->view->slots;
    return look_up(context, context->slots, slots <= L4_SLOTS_MAX ? slots : 0);
}

static struct l4_pick_proposal propose_maglev(struct l4_pick_context *context)
{
    const uint32_t slots = context->view->maglev;
    if (slots == 0 || slots > L4_MAGLEV_MAX)
        return propose_ip_hash(context);
    return look_up(context, context->maglev, slots);
}

const struct l4_pick_ops l4_pick_ip_hash = {.name = "ip_hash", .propose = propose_ip_hash};
const struct l4_pick_ops l4_pick_maglev = {.name = "maglev", .propose = propose_maglev};
