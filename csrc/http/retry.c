#include "http/retry.h"

#include "base/assert.h"
#include "http/account.h"
#include "http/serve.h"
#include "run/attempt.h"

/* A budget is counted in hundredths of a retry. */
enum { RETRY = 100, BUDGET_FIRST = 10 * RETRY, BUDGET_MAX = 1000 * RETRY };

/* Has the pool a retry left? why `spent`: the memory begins as zeros, and a pool begins with some
 * retries. */
static bool has_budget(const struct l4_loop *loop, uint32_t pool)
{
    return loop->http->spent[pool] + RETRY <= BUDGET_FIRST;
}

void l4_retry_earn(struct l4_loop *loop, uint32_t index)
{
    int32_t *spent = &loop->http->spent[l4_session_at(loop, index)->pool];
    const int32_t share = (int32_t)L4_GET(l4_serve_pool_rules(loop, index)->retry_budget_percent);
    if (*spent > BUDGET_FIRST - BUDGET_MAX)
        *spent -= share;
}

bool l4_retry_may(const struct l4_loop *loop, uint32_t index, uint32_t cause)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_http_pool *rules = l4_serve_pool_rules(loop, index);
    return L4_GET(rules->retry_on) & cause && x->head_bytes && !(x->flags & L4_X_BODY_BEGUN) &&
           !(x->flags & L4_X_ANSWERED) && x->body_bytes <= L4_GET(rules->retry_body);
}

bool l4_retry_elsewhere(struct l4_loop *loop, uint32_t index, uint32_t cause)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    const uint32_t retries = L4_GET(l4_row_pool(loop, s)->retries), here = s->backend;
    L4_ASSERT(here != L4_NONE);
    if (!cause || !l4_retry_may(loop, index, cause) || !(x->flags & L4_X_IDEMPOTENT) ||
        s->attempts >= retries || s->attempts >= L4_RETRIES_MAX || !has_budget(loop, s->pool))
        return false;
    s->tried[s->attempts++] = (uint16_t)here;
    s->backend = L4_NONE;
    const uint32_t other = l4_attempt_pick(loop, s, s->attempts).backend;
    s->backend = here;
    if (other == L4_NONE) {
        s->attempts--;
        return false;
    }
    l4_account_retry(loop, index, cause);
    loop->http->spent[s->pool] += RETRY;
    l4_pump_discard(&loop->pump, &s->half[L4_CLIENT]);
    l4_attempt_leave(loop, s);
    s->backend = other;
    x->flags &= ~(uint32_t)(L4_X_REUSED | L4_X_FRESH | L4_X_ASKED | L4_X_HEARD);
    l4_row_set_deadline(loop, s, L4_GET(l4_row_pool(loop, s)->connect_timeout_ms));
    return true;
}
