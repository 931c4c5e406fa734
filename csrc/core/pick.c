#include "core/pick.h"

#include "base/assert.h"
#include "core/effective_weight.h"
#include "core/passive.h"
#include "shm/count.h"
#include "shm/table.h"

static const struct l4_pick_ops *const algorithms[L4_BALANCE_COUNT] = {
    [L4_ROUND_ROBIN] = &l4_pick_round_robin,
    [L4_LEAST_CONNECTIONS] = &l4_pick_least_connections,
    [L4_LEAST_RESPONSE_TIME] = &l4_pick_least_response_time,
    [L4_RANDOM] = &l4_pick_random,
    [L4_FIRST] = &l4_pick_first,
    [L4_IP_HASH] = &l4_pick_ip_hash,
    [L4_MAGLEV] = &l4_pick_maglev,
};

static bool was_tried(const struct l4_pick_request *request, uint32_t backend)
{
    for (uint32_t i = 0; i < request->tried_count; i++) {
        if (request->tried[i] == backend)
            return true;
    }
    return false;
}

static bool is_healthy(const struct l4_backend *b, uint64_t now_ms)
{
    return L4_GET(b->health) != L4_DOWN && !l4_passive_ejected(b, now_ms);
}

static bool is_in_tier(const struct l4_backend *b, enum l4_pick_tier tier, uint64_t now_ms)
{
    if (tier == L4_ANY)
        return true;
    const bool backup = L4_GET(b->flags) & L4_BACKUP;
    return is_healthy(b, now_ms) && backup == (tier == L4_BACKUPS);
}

enum l4_usable l4_pick_judge(struct l4_pick_context *context, uint32_t backend)
{
    const struct l4_pick_request *request = context->request;
    if (backend >= context->table->plan.caps.backends)
        return L4_UNUSABLE;
    const struct l4_backend *b = l4_table_backend(context->table, backend);
    if (!L4_GET(b->used) || b->pool != request->pool || L4_GET(b->state) != L4_READY ||
        l4_share(b) == 0 || !is_in_tier(b, context->tier, request->now_ms) ||
        was_tried(request, backend))
        return L4_UNUSABLE;
    const uint32_t limit = L4_GET(b->max_connections);
    if (limit && L4_GET(b->inflight) >= limit) {
        context->full = true;
        return L4_FULL;
    }
    return L4_USABLE;
}

uint64_t l4_pick_ticket(const struct l4_pick_context *context)
{
    if (context->request->dry)
        return L4_GET(context->pool->ticket);
    return atomic_fetch_add_explicit(&context->pool->ticket, 1, memory_order_relaxed);
}

static uint64_t whole_weight(const struct l4_backend *backend)
{
    return 1024ull * l4_share(backend) / 100;
}

uint64_t l4_pick_weight(const struct l4_pick_context *context, const struct l4_backend *backend)
{
    const uint64_t whole = whole_weight(backend);
    const uint64_t ramp = L4_GET(context->pool->slow_start_ms);
    if (!ramp)
        return whole;
    const uint64_t up = L4_GET(backend->up_since_ms), ready = L4_GET(backend->ready_since_ms);
    const uint64_t ejected = L4_GET(backend->ejected_until_ms), now = context->request->now_ms;
    const uint64_t later = up > ready ? up : ready, since = ejected > later ? ejected : later;
    if (!since || now >= since + ramp)
        return whole;
    const uint64_t grown = now > since ? whole * (now - since) / ramp : 0;
    return grown ? grown : 1;
}

bool l4_pick_ripe(const struct l4_pick_context *context, const struct l4_backend *backend,
                  uint64_t hash)
{
    if (!L4_GET(context->pool->slow_start_ms))
        return true;
    const uint64_t whole = whole_weight(backend);
    const uint64_t now = l4_pick_weight(context, backend);
    return now >= whole || l4_hash_below(l4_hash_again(hash, 0), (uint32_t)whole) < now;
}

static bool pool_is_full(const struct l4_pool *pool)
{
    const uint32_t limit = L4_GET(pool->max_connections);
    return limit && L4_GET(pool->inflight) >= limit;
}

/* Proposes a backend. Without all_backups only the first usable backup serves, as in HAProxy. */
static struct l4_pick_proposal propose(struct l4_pick_context *context,
                                       const struct l4_pick_ops *algorithm)
{
    if (context->tier == L4_BACKUPS && !L4_GET(context->pool->all_backups))
        return l4_pick_first.propose(context);
    return algorithm->propose(context);
}

/* Makes one attempt: propose, then take the place. Returns L4_NONE with *again set if another
 * worker was faster or the view changed meanwhile. */
static uint32_t attempt(struct l4_pick_context *context, const struct l4_pick_ops *algorithm,
                        bool *again)
{
    const struct l4_table *table = context->table;
    const uint32_t generation =
        atomic_load_explicit(&context->pool->view_generation, memory_order_acquire);
    context->view = l4_table_view(table, context->request->pool, generation);
    context->members = l4_view_members(context->view);
    context->slots = l4_view_slots(table, context->view);
    context->maglev = l4_view_maglev(table, context->view);

    const struct l4_pick_proposal found = propose(context, algorithm);
    atomic_thread_fence(memory_order_acquire);
    if (L4_GET(context->pool->view_generation) != generation) {
        *again = true;
        return L4_NONE;
    }
    if (found.backend == L4_NONE || context->request->dry)
        return found.backend;
    if (l4_count_take_backend(table, context->request->worker, found.backend,
                              found.exact ? &found.seen : NULL))
        return found.backend;
    context->full = pool_is_full(context->pool);
    *again = !context->full;
    return L4_NONE;
}

struct l4_pick_answer l4_pick(const struct l4_table *table, const struct l4_pick_request *request)
{
    struct l4_pick_context context = {
        .table = table,
        .request = request,
        .pool = l4_table_pool(table, request->pool),
    };
    L4_ASSERT(request->tried_count <= L4_RETRIES_MAX + 1);
    L4_ASSERT(request->dry || request->worker < table->plan.caps.workers);
    const uint32_t balance = L4_GET(context.pool->balance);
    const struct l4_pick_ops *algorithm =
        algorithms[balance < L4_BALANCE_COUNT ? balance : L4_ROUND_ROBIN];
    const enum l4_pick_tier last =
        L4_GET(context.pool->all_down) == L4_TRY_ALL ? L4_ANY : L4_BACKUPS;

    if (pool_is_full(context.pool))
        return (struct l4_pick_answer){.backend = L4_NONE, .full = true};
    for (int round = 0; round < L4_PICK_ROUNDS; round++) {
        bool again = false;
        const uint32_t backend = attempt(&context, algorithm, &again);
        if (backend != L4_NONE)
            return (struct l4_pick_answer){.backend = backend, .tier = context.tier};
        if (again)
            continue;
        /* A tier whose backends are merely full is not skipped: its clients wait. */
        if (context.full || context.tier == last)
            break;
        L4_ASSERT(context.tier < last);
        context.tier++;
    }
    return (struct l4_pick_answer){.backend = L4_NONE, .full = context.full, .tier = context.tier};
}

bool l4_pick_this(const struct l4_table *table, const struct l4_pick_request *request,
                  uint32_t backend, bool in_drain)
{
    if (backend >= table->plan.caps.backends)
        return false;
    const struct l4_backend *b = l4_table_backend(table, backend);
    const struct l4_pool *pool = l4_table_pool(table, request->pool);
    const uint32_t state = L4_GET(b->state);
    const bool up = is_healthy(b, request->now_ms) || L4_GET(pool->all_down) == L4_TRY_ALL;
    if (!L4_GET(b->used) || b->pool != request->pool || !up || was_tried(request, backend) ||
        !(state == L4_READY || (state == L4_DRAIN && in_drain)))
        return false;
    return request->dry || l4_count_take_backend(table, request->worker, backend, NULL);
}
