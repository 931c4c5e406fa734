#include "http/retry.h"

#include "base/assert.h"
#include "http/account.h"
#include "http/serve.h"
#include "run/attempt.h"

/* A budget is counted in hundredths of a retry, in one word of the pool's row that all workers
 * change: so it is exact over all of them, and a death leaves it valid. A pool that has all that it
 * can save writes nothing. */
enum { RETRY = 100, BUDGET_FIRST = 10 * RETRY, BUDGET_MAX = 1000 * RETRY };

static _Atomic int32_t *spent_of(const struct l4_loop *loop, uint32_t pool)
{
    return &l4_table_pool(loop->table, pool)->retries_spent;
}

/* Takes a retry of the pool's budget, if one is left. why `spent`: the memory begins as zeros, and
 * a pool begins with some retries. */
static bool take_retry(const struct l4_loop *loop, uint32_t pool)
{
    _Atomic int32_t *spent = spent_of(loop, pool);
    int32_t now = L4_GET(*spent);
    do {
        if (now + RETRY > BUDGET_FIRST)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(spent, &now, now + RETRY, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

void l4_retry_earn(struct l4_loop *loop, uint32_t index)
{
    _Atomic int32_t *spent = spent_of(loop, l4_session_at(loop, index)->pool);
    const int32_t share = (int32_t)L4_GET(l4_serve_pool_rules(loop, index)->retry_budget_percent);
    if (share && L4_GET(*spent) > BUDGET_FIRST - BUDGET_MAX)
        atomic_fetch_sub_explicit(spent, share, memory_order_relaxed);
}

bool l4_retry_may(const struct l4_loop *loop, uint32_t index, uint32_t cause)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_http_pool *rules = l4_serve_pool_rules(loop, index);
    const uint32_t harmless = L4_X_IDEMPOTENT | (cause == L4_RETRY_REUSE ? L4_X_UNSENT : 0);
    if (!(x->flags & harmless))
        return false;
    return L4_GET(rules->retry_on) & cause && x->head_bytes && !(x->flags & L4_X_BODY_BEGUN) &&
           !(x->flags & L4_X_ANSWERED) && x->body_bytes <= L4_GET(rules->retry_body);
}

bool l4_retry_connects(const struct l4_loop *loop, uint32_t index)
{
    return L4_GET(l4_serve_pool_rules(loop, index)->retry_on) & L4_RETRY_CONNECT;
}

bool l4_retry_elsewhere(struct l4_loop *loop, uint32_t index, uint32_t cause)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    const uint32_t retries = L4_GET(l4_row_pool(loop, s)->retries), here = s->backend;
    L4_ASSERT(here != L4_NONE);
    if (!cause || !l4_retry_may(loop, index, cause) || s->attempts >= retries ||
        s->attempts >= L4_RETRIES_MAX || !take_retry(loop, s->pool))
        return false;
    s->tried[s->attempts++] = (uint16_t)here;
    s->backend = L4_NONE;
    const uint32_t other = l4_attempt_pick(loop, s, s->attempts).backend;
    s->backend = here;
    if (other == L4_NONE) {
        atomic_fetch_sub_explicit(spent_of(loop, s->pool), RETRY, memory_order_relaxed);
        s->attempts--;
        return false;
    }
    l4_account_retry(loop, index, cause);
    l4_pump_discard(&loop->pump, &s->half[L4_CLIENT]);
    l4_attempt_leave(loop, s);
    s->backend = other;
    x->flags &= ~(uint32_t)(L4_X_REUSED | L4_X_FRESH | L4_X_ASKED | L4_X_HEARD);
    l4_row_set_deadline(loop, s, L4_GET(l4_row_pool(loop, s)->connect_timeout_ms));
    return true;
}
