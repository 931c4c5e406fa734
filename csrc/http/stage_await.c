/* AWAIT: another client's request fetches what this one asks for. It looks every L4_CACHE_WAIT_MS
 * whether that has come, or begins to come, and asks for itself after its cache's collapse_timeout,
 * or if who fetches ends without an answer that can be kept. */
#include <sys/epoll.h>

#include "http/caching.h"
#include "http/serve.h"
#include "http/stages.h"
#include "io/sock.h"
#include "run/client_wait.h"

static struct l4_step enter(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const int error = l4_row_watch_client(loop, index);
    if (error)
        return l4_end_by_error(s, error);
    l4_row_set_deadline(loop, s, L4_GET(l4_caching_rules(loop, index)->collapse_ms));
    l4_row_wake_in(loop, index, L4_CACHE_WAIT_MS);
    return l4_stay();
}

static struct l4_step event(struct l4_loop *loop, uint32_t index, enum l4_side side,
                            uint32_t events)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (side == L4_CLIENT && l4_client_is_gone(s, events))
        return l4_end(L4_END_CLIENT_RESET);
    return l4_stay();
}

static struct l4_step timeout(struct l4_loop *loop, uint32_t index)
{
    const bool last = l4_row_left_ms(loop, l4_session_at(loop, index)) <= 0;
    /* why asked first: a look reads the request again, and there may be many that wait. */
    const struct l4_step step =
        last || l4_caching_has_news(loop, index) ? l4_caching_look(loop, index, last) : l4_stay();
    if (step.kind == L4_STAY)
        l4_row_wake_in(loop, index, L4_CACHE_WAIT_MS);
    return step;
}

const struct l4_stage l4_stage_await = {
    .enter = enter,
    .event = event,
    .timeout = timeout,
};
