/* QUEUE: the session waits for a place at a backend of its pool (run/lines.h). It is resumed when
 * it is the first of all that wait, and a place may be free. */
#include "base/assert.h"
#include "io/sock.h"
#include "run/attempt.h"
#include "run/client_wait.h"
#include "run/lines.h"
#include "run/stages.h"

static struct l4_step enter(struct l4_loop *loop, uint32_t index)
{
    if (!l4_lines_join(loop, index))
        return l4_end(L4_END_QUEUE_FULL);
    const int error = l4_row_watch_client(loop, index);
    return error ? l4_end_by_error(l4_session_at(loop, index), error) : l4_stay();
}

static struct l4_step event(struct l4_loop *loop, uint32_t index, enum l4_side side,
                            uint32_t events)
{
    struct l4_session *s = l4_session_at(loop, index);
    (void)side; /* there is no backend */
    if (l4_client_is_gone(s, events))
        return l4_end(L4_END_CLIENT_RESET);
    /* why: a client that has closed its side and sent nothing has left, and has nothing to wait
     * for. */
    if (events & EPOLLRDHUP && !l4_sock_has_data(s->half[L4_CLIENT].fd))
        return l4_end(L4_END_CLIENT_FIN);
    return l4_stay();
}

static struct l4_step timeout(struct l4_loop *loop, uint32_t index)
{
    if (l4_row_left_ms(loop, l4_session_at(loop, index)) <= 0)
        return l4_end(L4_END_QUEUE_TIMEOUT);
    l4_lines_look(loop, index);
    return l4_stay();
}

static struct l4_step resume(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    L4_ASSERT(s->list == L4_LIST_QUEUE);
    /* why: this includes backends that the session could not reach before. Otherwise the first
     * client in the queue could wait for another backend while those behind it could use this
     * one. */
    const struct l4_pick_answer answer = l4_attempt_pick(loop, s, 0);
    if (answer.backend == L4_NONE)
        return answer.full ? l4_stay() : l4_end(L4_END_NO_BACKEND);
    l4_row_set_deadline(loop, s, L4_GET(l4_row_pool(loop, s)->connect_timeout_ms));
    return l4_go(L4_SESSION_CONNECT);
}

static struct l4_step again(struct l4_loop *loop, uint32_t index)
{
    l4_lines_join_again(loop, index);
    return l4_stay();
}

const struct l4_stage l4_stage_queue = {
    .enter = enter,
    .event = event,
    .timeout = timeout,
    .resume = resume,
    .again = again,
    .leave = l4_lines_leave,
};
