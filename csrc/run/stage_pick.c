/* PICK: a backend is chosen. Without a place at a backend, the session queues where its pool has a
 * queue, or ends. If this host has no socket to connect with, the session waits here. */
#include "http/outward.h"
#include "run/attempt.h"
#include "run/client_wait.h"
#include "run/lines.h"
#include "run/stages.h"

static struct l4_step choose_backend(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (l4_outward_is_on(loop, s))
        return l4_go(L4_SESSION_FORWARD);
    const bool may_wait = L4_GET(l4_row_pool(loop, s)->queue.length) != 0;
    /* After a failed attempt a session does not wait behind others: it tries at once, and queues
     * only if every place is taken. */
    if (may_wait && s->attempts == 0 &&
        (l4_lines_is_waited_in(loop, s->pool) || l4_lines_is_for_successor(loop, s)))
        return l4_go(L4_SESSION_QUEUE);
    const struct l4_pick_answer answer = l4_attempt_pick(loop, s, s->attempts);
    if (answer.backend != L4_NONE)
        return l4_go(L4_SESSION_CONNECT);
    if (answer.full && may_wait)
        return l4_go(L4_SESSION_QUEUE);
    return l4_end(s->attempts ? L4_END_CONNECT_FAILED : L4_END_NO_BACKEND);
}

/* The session waits until this host has a socket, at most as long as its connect may take. */
static struct l4_step wait_for_socket(struct l4_loop *loop, uint32_t index)
{
    if (l4_row_left_ms(loop, l4_session_at(loop, index)) <= 0)
        return l4_end(L4_END_ERROR);
    l4_row_wake_in(loop, index, L4_RESOURCE_RETRY_MS);
    return l4_stay();
}

static struct l4_step enter(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (s->socketless)
        return wait_for_socket(loop, index);
    l4_row_set_deadline(loop, s, L4_GET(l4_row_pool(loop, s)->connect_timeout_ms));
    return choose_backend(loop, index);
}

static struct l4_step event(struct l4_loop *loop, uint32_t index, enum l4_side side,
                            uint32_t events)
{
    (void)side; /* there is no backend */
    return l4_client_is_gone(l4_session_at(loop, index), events) ? l4_end(L4_END_CLIENT_RESET)
                                                                 : l4_stay();
}

static struct l4_step timeout(struct l4_loop *loop, uint32_t index)
{
    l4_session_at(loop, index)->socketless = 0;
    return choose_backend(loop, index);
}

const struct l4_stage l4_stage_pick = {
    .enter = enter,
    .event = event,
    .timeout = timeout,
};
