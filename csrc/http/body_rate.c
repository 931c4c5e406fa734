#include "http/body_rate.h"

#include "http/serve.h"
#include "run/shaping.h"

static const struct l4_http_listener *rules_of(const struct l4_loop *loop, uint32_t index)
{
    return l4_serve_rules(loop, l4_session_at(loop, index));
}

static bool is_measured(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    return !x->up.done && !(x->holds & L4_HOLDS_UP) && L4_GET(rules_of(loop, index)->body_rate_min);
}

static uint32_t elapsed_ms(const struct l4_loop *loop, uint32_t index)
{
    return (uint32_t)loop->now_ms - l4_exchange_at(loop, index)->rated_ms;
}

void l4_body_rate_begin(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    x->rated_ms = (uint32_t)loop->now_ms;
    x->rated_bytes = (uint32_t)x->up.bytes;
}

void l4_body_rate_note(struct l4_loop *loop, uint32_t index)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_half *client = &s->half[L4_CLIENT], *backend = &s->half[L4_BACKEND];
    if (x->up.done)
        return;
    if (client->piped || backend->flags & L4_HALF_UNSENT || !(backend->flags & L4_HALF_OUT) ||
        (x->flags & L4_X_EXPECTS && !x->up.bytes) || s->list != L4_LIST_NONE ||
        s->paced & L4_PACED_WAITS)
        l4_body_rate_begin(loop, index);
}

uint64_t l4_body_rate_wait_ms(const struct l4_loop *loop, uint32_t index, uint64_t max_ms)
{
    const uint32_t window = L4_GET(rules_of(loop, index)->head_timeout_ms);
    const uint32_t elapsed = elapsed_ms(loop, index);
    if (!is_measured(loop, index) || window >= elapsed + max_ms)
        return max_ms;
    return elapsed < window ? window - elapsed : 0;
}

bool l4_body_rate_is_low(struct l4_loop *loop, uint32_t index)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const uint64_t elapsed = elapsed_ms(loop, index);
    if (!is_measured(loop, index) || elapsed < L4_GET(rules_of(loop, index)->head_timeout_ms))
        return false;
    const uint64_t came = (uint32_t)x->up.bytes - x->rated_bytes;
    if (came < L4_GET(rules_of(loop, index)->body_rate_min) * elapsed / 1000)
        return true;
    l4_body_rate_begin(loop, index);
    return false;
}
