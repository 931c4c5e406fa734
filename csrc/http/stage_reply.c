/* REPLY: the client gets an answer of l4lb itself; or an answer was the last one of the
 * connection.
 *
 * If bytes of the client may still be on their way, its connection is not closed at once: a reset
 * could then overtake the answer (RFC 9112, 9.6). Our end is told, and what still comes is
 * discarded, for L4_HTTP_LINGER_MS and L4_HTTP_LINGER_BYTES at most.
 */
#include <errno.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "http/account.h"
#include "http/message.h"
#include "http/record.h"
#include "http/serve.h"
#include "http/stages.h"
#include "io/stream_ops.h"
#include "run/attempt.h"

/* Ends the session for the reason of its last request; after a request that was answered, because
 * one side wanted no further one. */
static struct l4_step end(const struct l4_loop *loop, uint32_t index)
{
    const enum l4_reason reason = (enum l4_reason)l4_session_at(loop, index)->reason;
    return l4_end(reason == L4_END_NONE ? L4_END_CLIENT_FIN : reason);
}

/* Discards what the client sends, until its end. */
static struct l4_step discard(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_half *client = l4_serve_client(loop, index);
    while (client->flags & L4_HALF_IN) {
        const ssize_t got = l4_io_of(client)->receive(
            &loop->pump, client, l4_serve_holder(loop, index), L4_HTTP_COPY_BYTES);
        if (got > 0) {
            x->lingered += (uint32_t)got;
            if (x->lingered > L4_HTTP_LINGER_BYTES)
                return end(loop, index);
            continue;
        }
        client->flags &= (uint16_t)~L4_HALF_IN;
        if (got == 0 || (errno != EAGAIN && errno != EBUSY))
            return end(loop, index);
    }
    return l4_stay();
}

/* Is something of the client's unread, or to be expected? */
static bool may_send_more(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    return !x->up.done || !x->head_bytes || x->have ||
           l4_serve_client(loop, index)->flags & L4_HALF_IN;
}

static struct l4_step linger(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_half *client = l4_serve_client(loop, index);
    if (client->flags & (L4_HALF_EOF | L4_HALF_BROKEN | L4_HALF_STREAM | L4_HALF_VOID) ||
        !may_send_more(loop, index))
        return end(loop, index);
    x->flags |= L4_X_LINGERS;
    if (l4_io_of(client)->finish(&loop->pump, l4_serve_holder(loop, index), client))
        client->flags |= L4_HALF_SHUT;
    l4_row_set_deadline(loop, s, L4_HTTP_LINGER_MS);
    l4_row_wake_at_deadline(loop, index);
    return discard(loop, index);
}

/* The answer is with the client's kernel. */
static struct l4_step answered(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    l4_account_answer(loop, index, (enum l4_reason)s->reason);
    l4_serve_end_answer(loop, index);
    if (x->flags & L4_X_CLIENT_STAYS && x->up.done) {
        l4_serve_drop_request(loop, index);
        return l4_go(L4_SESSION_REQUEST);
    }
    return linger(loop, index);
}

static struct l4_step go_on(struct l4_loop *loop, uint32_t index)
{
    struct l4_half *client = l4_serve_client(loop, index), *holder = l4_serve_holder(loop, index);
    if (client->flags & L4_HALF_BROKEN)
        return l4_end(L4_END_CLIENT_RESET);
    if (l4_exchange_at(loop, index)->flags & L4_X_LINGERS)
        return discard(loop, index);
    l4_pump_flush(&loop->pump, holder, client);
    if (holder->piped || client->flags & L4_HALF_UNSENT)
        return l4_stay();
    return answered(loop, index);
}

/* Tells the client. A body that is not here yet is not read. */
static struct l4_step reply(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_half *client = l4_serve_client(loop, index);
    struct l4_pump out = loop->pump;
    if (!x->up.done || !l4_serve_client_stays(loop, index))
        x->flags &= ~(uint32_t)L4_X_CLIENT_STAYS;
    x->flags |= L4_X_ANSWERED;
    x->answered_us = (uint32_t)(loop->now_us - x->asked_us);
    l4_recording_unread(loop, index);
    const size_t bytes = l4_message_reply(loop, index);
    if (!bytes)
        return end(loop, index);
    out.scratch = loop->http->written;
    l4_recording_answer(loop, index, (struct l4_text){out.scratch, bytes});
    if (l4_io_of(client)->pass(&out, l4_serve_holder(loop, index), client, bytes) == L4_PUMP_LOST)
        return l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
    L4_OWN_ADD(l4_session_at(loop, index)->bytes[L4_BACKEND], bytes);
    return go_on(loop, index);
}

static struct l4_step enter(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    l4_attempt_leave(loop, s);
    l4_pump_discard(&loop->pump, &s->half[L4_CLIENT]);
    const int error = l4_row_watch_client(loop, index);
    if (error)
        return l4_end_by_error(s, error);
    if (x->flags & L4_X_ANSWERED)
        return linger(loop, index);
    l4_row_set_deadline(loop, s, L4_GET(l4_serve_rules(loop, s)->rest_timeout_ms));
    l4_row_wake_at_deadline(loop, index);
    return reply(loop, index);
}

static struct l4_step event(struct l4_loop *loop, uint32_t index, enum l4_side side,
                            uint32_t events)
{
    if (side != L4_CLIENT)
        return l4_stay();
    l4_half_note(l4_serve_client(loop, index), events);
    return go_on(loop, index);
}

static struct l4_step timeout(struct l4_loop *loop, uint32_t index)
{
    if (l4_row_left_ms(loop, l4_session_at(loop, index)) <= 0)
        return l4_exchange_at(loop, index)->flags & L4_X_LINGERS ? end(loop, index)
                                                                 : l4_end(L4_END_IDLE_TIMEOUT);
    l4_row_wake_at_deadline(loop, index);
    return l4_stay();
}

const struct l4_stage l4_stage_reply = {
    .enter = enter,
    .event = event,
    .timeout = timeout,
};
