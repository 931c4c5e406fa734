#include "core/pick.h"

#include "shm/count.h"
#include "shm/table.h"

static const struct l4_pick_ops *const algorithms[L4_BALANCE_COUNT] = {
    [L4_ROUND_ROBIN] = &l4_pick_round_robin,
    [L4_LEAST_CONNECTIONS] = &l4_pick_least_connections,
};

const char *l4_pick_name(unsigned balance)
{
    return balance < L4_BALANCE_COUNT ? algorithms[balance]->name : NULL;
}

bool l4_pick_usable(const struct l4_pick_context *context, uint32_t backend)
{
    const struct l4_pick_request *request = context->request;
    if (backend >= context->table->header->caps.backends)
        return false;
    const struct l4_backend *b = l4_table_backend(context->table, backend);
    if (!L4_GET(b->used) || b->pool != request->pool || L4_GET(b->state) != L4_READY ||
        L4_GET(b->weight) == 0 || (L4_GET(b->health) == L4_DOWN && !context->try_all))
        return false;
    const uint32_t limit = L4_GET(b->max_connections);
    if (limit && L4_GET(b->inflight) >= limit)
        return false;
    for (uint32_t i = 0; i < request->tried_count; i++) {
        if (request->tried[i] == backend)
            return false;
    }
    return true;
}

static bool pool_is_full(const struct l4_pool *pool)
{
    const uint32_t limit = L4_GET(pool->max_connections);
    return limit && L4_GET(pool->inflight) >= limit;
}

/* One round: propose, then take the place. L4_NONE with *again set if another worker was faster
 * or the view changed meanwhile. */
static uint32_t attempt(struct l4_pick_context *context, const struct l4_pick_ops *algorithm,
                        bool *again)
{
    const struct l4_table *table = context->table;
    const uint32_t generation =
        atomic_load_explicit(&context->pool->view_generation, memory_order_acquire);
    context->view = l4_table_view(table, context->request->pool, generation);
    context->members = l4_view_members(context->view);
    context->slots = l4_view_slots(table, context->view);

    const struct l4_pick_proposal found = algorithm->propose(context);
    atomic_thread_fence(memory_order_acquire);
    if (L4_GET(context->pool->view_generation) != generation) {
        *again = true;
        return L4_NONE;
    }
    if (found.backend == L4_NONE)
        return L4_NONE;
    if (l4_count_take_backend(table, context->request->worker, found.backend,
                              found.exact ? &found.seen : NULL))
        return found.backend;
    *again = !pool_is_full(context->pool);
    return L4_NONE;
}

uint32_t l4_pick(const struct l4_table *table, const struct l4_pick_request *request)
{
    struct l4_pick_context context = {
        .table = table,
        .request = request,
        .pool = l4_table_pool(table, request->pool),
    };
    const uint32_t balance = L4_GET(context.pool->balance);
    const struct l4_pick_ops *algorithm =
        algorithms[balance < L4_BALANCE_COUNT ? balance : L4_ROUND_ROBIN];

    for (int round = 0; round < L4_PICK_ROUNDS; round++) {
        bool again = false;
        const uint32_t backend = attempt(&context, algorithm, &again);
        if (backend != L4_NONE)
            return backend;
        if (again)
            continue;
        if (context.try_all || L4_GET(context.pool->all_down) != L4_TRY_ALL)
            return L4_NONE;
        context.try_all = true;
    }
    return L4_NONE;
}
