/* FORWARD: a client has named the host that it wants to reach. Whether it may, and at which
 * addresses that host is, the gate says; then one address after the other is tried. */
#include "http/caching.h"
#include "http/inspect.h"
#include "http/outward.h"
#include "http/serve.h"
#include "http/stages.h"
#include "http/user_limits.h"
#include "run/attempt.h"
#include "run/client_wait.h"

enum { LOOK_FIRST_MS = 1, LOOK_MAX_MS = 16 };

/* The request is refused. `fault` says why, in a word. */
static struct l4_step refuse(struct l4_loop *loop, uint32_t index, uint16_t status,
                             const char *fault, enum l4_reason reason)
{
    l4_exchange_at(loop, index)->fault = fault;
    return l4_serve_refuse(loop, index, status, reason);
}

/* Tries the next address. */
static struct l4_step go_on(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_outward *o = l4_outward_at(loop, index);
    const uint32_t whole_ms = L4_GET(l4_row_pool(loop, s)->connect_timeout_ms);
    if (!l4_outward_find(loop, index))
        return o->guarded && !s->attempts
                   ? refuse(loop, index, 403, "private_address", L4_END_REJECTED_FILTER)
                   : l4_end(L4_END_CONNECT_FAILED);
    if (!l4_user_take(loop, index))
        return refuse(loop, index, 429, "user_connections", L4_END_REJECTED_FILTER);
    if (l4_attempt_pick(loop, s, 0).backend == L4_NONE) {
        l4_user_drop(loop, s);
        return l4_end(L4_END_NO_BACKEND);
    }
    const bool soon = o->next < o->quick && whole_ms > L4_OUTWARD_NEXT_MS;
    l4_row_set_deadline(loop, s, soon ? L4_OUTWARD_NEXT_MS : whole_ms);
    return l4_go(L4_SESSION_CONNECT);
}

/* The client may go there: a cache is asked first, if there is one. */
static struct l4_step allowed(struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const uint32_t own = L4_GET(l4_serve_rules(loop, s)->cache);
    const uint32_t cache = own ? own : L4_GET(l4_serve_pool_rules(loop, index)->forward_cache);
    if (l4_inspect_wants_request(loop, index, 0))
        return l4_go(L4_SESSION_INSPECT);
    if (cache && !x->cache && x->method != L4_METHOD_CONNECT &&
        l4_inspect_allows_cache(loop, index))
        return l4_caching_begin(loop, index, cache);
    return go_on(loop, index);
}

static struct l4_step obey(struct l4_loop *loop, uint32_t index,
                           const struct l4_gate_answer *answer)
{
    l4_outward_take(loop, index, answer);
    switch (answer->kind) {
    case L4_GATE_ALLOW:
        return l4_outward_is_login(loop, index) ? l4_go(L4_SESSION_SOCKS) : allowed(loop, index);
    case L4_GATE_AUTH:
        return refuse(loop, index, 407, "authentication", L4_END_REJECTED_FILTER);
    case L4_GATE_NO_NAME:
        return refuse(loop, index, 502, "no_such_name", L4_END_CONNECT_FAILED);
    case L4_GATE_FAILED:
        return refuse(loop, index, 504, "name_timeout", L4_END_CONNECT_FAILED);
    default:
        return refuse(loop, index, 403, "forbidden", L4_END_REJECTED_FILTER);
    }
}

/* Looks for the answer. why by a timer: most answers are there at the first look, and a name takes
 * longer than one. */
static struct l4_step look(struct l4_loop *loop, uint32_t index)
{
    const struct l4_outward *o = l4_outward_at(loop, index);
    const uint32_t wait_ms = L4_GET(l4_serve_pool_rules(loop, index)->forward_wait_ms);
    struct l4_gate_answer answer;
    if (l4_outward_ask(loop, index, &answer))
        return obey(loop, index, &answer);
    if (loop->now_ms - o->asked_ms >= wait_ms)
        return l4_outward_decide_alone(loop, index, &answer)
                   ? obey(loop, index, &answer)
                   : refuse(loop, index, 503, "policy_timeout", L4_END_ERROR);
    const uint32_t shift = o->looks < 5 ? o->looks - 1 : 4;
    l4_row_wake_in(loop, index, (uint64_t)LOOK_FIRST_MS << shift);
    return l4_stay();
}

static struct l4_step enter(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (l4_outward_is_known(loop, index) && l4_outward_at(loop, index)->allowed)
        return l4_inspect_has_passed(loop, index) ? allowed(loop, index) : go_on(loop, index);
    const bool socks = L4_GET(l4_serve_rules(loop, s)->speaks_socks);
    if (!socks && !l4_outward_begin(loop, index))
        return refuse(loop, index, 400, "no_proxy_request", L4_END_REJECTED_BAD_REQUEST);
    const int error = l4_row_watch_client(loop, index);
    return error ? l4_end_by_error(s, error) : look(loop, index);
}

static struct l4_step event(struct l4_loop *loop, uint32_t index, enum l4_side side,
                            uint32_t events)
{
    if (side == L4_CLIENT && l4_client_is_gone(l4_session_at(loop, index), events))
        return l4_end(L4_END_CLIENT_RESET);
    return l4_stay();
}

const struct l4_stage l4_stage_forward = {
    .enter = enter,
    .event = event,
    .timeout = look,
    .leave = l4_outward_drop,
};
