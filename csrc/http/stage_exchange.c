/* EXCHANGE: a request goes to its backend, and the answer comes back.
 *
 * The request's head was written anew and is sent with what is there of its body. The answer's head
 * is read, judged and written anew; bodies pass through http/body.h. Until the answer's head has
 * come, the block keeps the request, so that it can be sent again.
 *
 * A connection that was used before may be closed by the backend at the moment when the request is
 * sent. A request that got no byte of an answer on such a connection is sent once more, over a new
 * connection to the same backend, if nothing of it is lost and sending it twice does no harm: its
 * method is idempotent, or no byte of it was sent. Of any other nobody can know whether the backend
 * has carried it out (RFC 9110, 9.2.2); its connection is looked at before it is used (spare.c).
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "core/passive.h"
#include "http/account.h"
#include "http/answer.h"
#include "http/body_rate.h"
#include "http/caching.h"
#include "http/fill.h"
#include "http/inspect_pass.h"
#include "http/message.h"
#include "http/record.h"
#include "http/retry.h"
#include "http/serve.h"
#include "http/stages.h"
#include "http/tunnel.h"
#include "io/stream_ops.h"
#include "run/attempt.h"
#include "run/first_byte.h"
#include "run/shaping.h"

/* The answer is with the client, and the request with the backend. */
static struct l4_step finish(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    const bool stays = x->flags & L4_X_CLIENT_STAYS;
    l4_caching_end(loop, index);
    l4_account_answer(loop, index, L4_END_NONE);
    l4_serve_end_answer(loop, index);
    l4_pump_discard(&loop->pump, &s->half[L4_CLIENT]); /* the empty pipe of a bulky body */
    l4_spare_give(loop, index);
    l4_attempt_leave(loop, s);
    return l4_go(stays ? L4_SESSION_REQUEST : L4_SESSION_REPLY);
}

/* ---- the request ----------------------------------------------------------------------------- */

/* The request is turned away for its body. A client that has an answer already is only cut off. The
 * backend's connection is closed before the end of the body, so it takes it for none. */
static struct l4_step refuse_body(struct l4_loop *loop, uint32_t index, uint16_t status,
                                  enum l4_reason reason, const char *fault)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    x->flags &= ~(uint32_t)(L4_X_CLIENT_STAYS | L4_X_BACKEND_STAYS);
    x->fault = fault;
    return x->flags & L4_X_ANSWERED ? l4_end(reason) : l4_serve_refuse(loop, index, status, reason);
}

/* The body is in no valid chunks, or longer than it may be. */
static struct l4_step refuse_bytes(struct l4_loop *loop, uint32_t index)
{
    return l4_exchange_at(loop, index)->up.over
               ? refuse_body(loop, index, 413, L4_END_REJECTED_TOO_LARGE, "body_too_large")
               : refuse_body(loop, index, 400, L4_END_REJECTED_BAD_REQUEST, "bad_chunks");
}

/* Sends the head, and what came with it of the body. */
static struct l4_step send_request(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_half *client = l4_serve_client(loop, index), *backend = l4_serve_backend(loop, index);
    struct l4_pump out = loop->pump;
    size_t bytes;
    if (!l4_message_request(loop, index, &out.scratch, &bytes)) {
        return x->flags & L4_X_BAD_BODY
                   ? refuse_bytes(loop, index)
                   : refuse_body(loop, index, 431, L4_END_REJECTED_TOO_LARGE, NULL);
    }
    if (x->holds & L4_HOLDS_REQUEST)
        l4_inspect_pass_request(loop, index);
    x->sent_us = loop->now_us;
    if (l4_io_of(backend)->pass(&out, client, backend, bytes) == L4_PUMP_LOST)
        return l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
    x->flags &= ~(uint32_t)L4_X_UNSENT;
    if (backend->flags & L4_HALF_BROKEN && !(backend->flags & L4_HALF_TLS))
        x->flags |= L4_X_UNSENT; /* why not with TLS: there it takes several sends */
    L4_OWN_ADD(l4_row_column(loop, l4_session_at(loop, index))->bytes_in, bytes);
    l4_first_byte_asked(loop, l4_session_at(loop, index));
    return l4_stay();
}

/* Is what comes of the body kept, so that the request can be sent again? */
static bool keeps_body(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const uint32_t most = L4_GET(l4_serve_pool_rules(loop, index)->retry_body);
    if (!(x->flags & L4_X_IDEMPOTENT) || x->flags & (L4_X_BODY_BEGUN | L4_X_ANSWERED))
        return false;
    const uint64_t room = L4_HTTP_BLOCK_BYTES - x->have;
    return x->up.comes == L4_FRAMING_LENGTH
               ? x->up.left <= room && x->body_bytes + x->up.left <= most
               : x->body_bytes < most;
}

static struct l4_step move_up(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_half *client = l4_serve_client(loop, index), *backend = l4_serve_backend(loop, index);
    uint64_t moved;
    if (x->holds & L4_HOLDS_UP && !(backend->flags & L4_HALF_BROKEN))
        return l4_inspect_move(loop, index, L4_CLIENT);
    if (x->up.done || backend->flags & L4_HALF_BROKEN) {
        l4_pump_flush(&loop->pump, client, backend);
        return l4_stay();
    }
    struct l4_body_read read = {.most = l4_serve_room_for_extra(loop, index),
                                .take = l4_recording_wants(loop, index, L4_CLIENT) ? l4_recording_up
                                                                                   : NULL,
                                .take_loop = loop,
                                .take_index = index};
    const bool keeps = keeps_body(loop, index);
    if (keeps)
        read.keep = l4_http_block(loop->http, x->block) + x->have;
    const enum l4_body_result result = l4_body_move(loop, client, backend, &x->up, &read, &moved);
    l4_serve_count_bytes(loop, index, L4_CLIENT, moved);
    if (keeps)
        l4_serve_note_kept(loop, index, (uint32_t)moved, (uint32_t)read.extra);
    else if (moved)
        x->flags |= L4_X_BODY_BEGUN;
    switch (result) {
    case L4_BODY_LOST:
        return l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
    case L4_BODY_ENDED:
        return l4_end(client->flags & L4_HALF_RESET ? L4_END_CLIENT_RESET : L4_END_CLIENT_FIN);
    case L4_BODY_BAD:
        return refuse_bytes(loop, index);
    default:
        l4_serve_move_later(loop, index, result, &x->up);
    }
    if (keeps || l4_serve_keep_extra(loop, index, read.extra_at, read.extra))
        return l4_stay();
    x->flags &= ~(uint32_t)L4_X_CLIENT_STAYS; /* why: a part of its next request is lost */
    return l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
}

/* ---- the answer's body ----------------------------------------------------------------------- */

/* Shows bytes of it to who keeps them. */
static void take_down(struct l4_loop *loop, uint32_t index, struct l4_text data)
{
    if (l4_fill_goes_on(loop, index))
        l4_fill_take(loop, index, data);
    l4_recording_down(loop, index, data);
}

static struct l4_step move_down(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_half *client = l4_serve_client(loop, index), *backend = l4_serve_backend(loop, index);
    struct l4_body_read read = {.most = L4_HTTP_COPY_BYTES, .take_loop = loop, .take_index = index};
    uint64_t moved;
    if (x->holds & L4_HOLDS_DOWN)
        return l4_inspect_move(loop, index, L4_BACKEND);
    if (l4_fill_goes_on(loop, index) || l4_recording_wants(loop, index, L4_BACKEND))
        read.take = take_down;
    if (x->down.done) {
        l4_pump_flush(&loop->pump, backend, client);
        return l4_stay();
    }
    const enum l4_body_result result = l4_body_move(loop, backend, client, &x->down, &read, &moved);
    l4_serve_count_bytes(loop, index, L4_BACKEND, moved);
    if (x->down.done && l4_fill_goes_on(loop, index))
        l4_fill_end(loop, index);
    if (read.extra)
        x->flags &= ~(uint32_t)L4_X_BACKEND_STAYS;
    switch (result) {
    case L4_BODY_LOST:
        return l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
    case L4_BODY_BAD:
        return l4_answer_failed(loop, index, L4_END_BAD_ANSWER);
    case L4_BODY_ENDED:
        return l4_answer_failed(loop, index,
                                backend->flags & L4_HALF_RESET ? L4_END_BACKEND_RESET
                                                               : L4_END_BACKEND_FIN);
    default:
        l4_serve_move_later(loop, index, result, &x->down);
    }
    return l4_stay();
}

/* ---- the stage ------------------------------------------------------------------------------- */

/* Is nothing of the exchange under way any more? */
static bool is_over(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_half *client = l4_serve_client(loop, index),
                         *backend = l4_serve_backend(loop, index);
    return x->flags & L4_X_ANSWERED && x->down.done && backend->piped == 0 &&
           !(client->flags & L4_HALF_UNSENT) &&
           ((x->up.done && client->piped == 0) || backend->flags & L4_HALF_BROKEN ||
            x->flags & L4_X_BODY_REFUSED);
}

static struct l4_step ends_of(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    if (l4_serve_client(loop, index)->flags & L4_HALF_BROKEN)
        return l4_end(L4_END_CLIENT_RESET);
    if (!is_over(loop, index))
        return l4_stay();
    if (!x->up.done)
        x->flags &= ~(uint32_t)(L4_X_CLIENT_STAYS | L4_X_BACKEND_STAYS);
    return finish(loop, index);
}

/* Returns how long the backend may take until its answer begins. */
static uint32_t answer_timeout_ms(const struct l4_loop *loop, uint32_t index)
{
    const uint32_t of_route = l4_exchange_at(loop, index)->timeout_ms;
    return of_route ? of_route : L4_GET(l4_serve_pool_rules(loop, index)->answer_timeout_ms);
}

/* The time for an answer begins when the whole request was sent. */
static void note_asked(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    if (!x->up.done || x->flags & L4_X_ASKED)
        return;
    x->flags |= L4_X_ASKED;
    l4_row_set_deadline(loop, l4_session_at(loop, index), answer_timeout_ms(loop, index));
    l4_row_wake_at_deadline(loop, index);
}

static struct l4_step move(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_step step = move_up(loop, index);
    l4_body_rate_note(loop, index);
    if (step.kind == L4_STAY && !(x->flags & L4_X_ANSWERED)) {
        note_asked(loop, index);
        step = x->holds & L4_HOLDS_ANSWER ? l4_inspect_collect(loop, index)
                                          : l4_answer_read(loop, index);
    }
    if (step.kind == L4_STAY && x->flags & L4_X_ANSWERED)
        step = move_down(loop, index);
    return step;
}

static struct l4_step exchange(struct l4_loop *loop, uint32_t index)
{
    if (l4_shaping_holds(loop, index)) {
        l4_body_rate_note(loop, index);
        return l4_stay();
    }
    const struct l4_step step = move(loop, index);
    loop->pump.max = 0;
    return step.kind == L4_STAY ? ends_of(loop, index) : step;
}

static struct l4_step enter(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    L4_ASSERT(s->http && s->backend != L4_NONE && s->half[L4_BACKEND].fd >= 0);
    if (l4_table_backend(loop->table, s->backend)->addr.family == AF_UNIX)
        s->half[L4_BACKEND].flags |= L4_HALF_NODELAY;
    if (x->method == L4_METHOD_CONNECT)
        return l4_tunnel_begin(loop, index);
    x->informed = 0;
    const struct l4_step step = send_request(loop, index);
    if (step.kind != L4_STAY)
        return step;
    l4_body_rate_begin(loop, index);
    l4_row_wake_in(
        loop, index,
        l4_body_rate_wait_ms(loop, index, L4_GET(l4_row_pool(loop, s)->idle_timeout_ms)));
    return exchange(loop, index);
}

static struct l4_step event(struct l4_loop *loop, uint32_t index, enum l4_side side,
                            uint32_t events)
{
    l4_half_note(&l4_session_at(loop, index)->half[side], events);
    return exchange(loop, index);
}

static struct l4_step answer_late(struct l4_loop *loop, uint32_t index)
{
    l4_answer_fault(loop, index);
    if (l4_retry_elsewhere(loop, index, L4_RETRY_TIMEOUT))
        return l4_go(L4_SESSION_CONNECT);
    return l4_answer_failed(loop, index, L4_END_ANSWER_TIMEOUT);
}

/* Turns the client away if its body comes too slowly. why it is read first: the worker may not have
 * come to what the client has sent. */
static struct l4_step judge_rate(struct l4_loop *loop, uint32_t index)
{
    if (!l4_body_rate_is_low(loop, index))
        return l4_stay();
    l4_serve_client(loop, index)->flags |= L4_HALF_IN;
    const struct l4_step step = exchange(loop, index);
    if (step.kind != L4_STAY || !l4_body_rate_is_low(loop, index))
        return step;
    return refuse_body(loop, index, 408, L4_END_REJECTED_BODY_RATE, "body_rate");
}

/* The timer may fire too early: bytes may have moved since it was set. */
static struct l4_step timeout(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const uint64_t allowed = L4_GET(l4_row_pool(loop, s)->idle_timeout_ms);
    struct l4_step step = s->paced & L4_PACED_WAITS ? exchange(loop, index) : l4_stay();
    if (step.kind != L4_STAY || s->paced & L4_PACED_WAITS)
        return step;
    step = judge_rate(loop, index);
    if (step.kind != L4_STAY)
        return step;
    if (x->holds & L4_HOLDS_ANSWER)
        return l4_inspect_timeout(loop, index, allowed);
    const uint64_t idle = loop->now_ms - L4_GET(s->active_ms);
    if ((x->flags & (L4_X_ASKED | L4_X_ANSWERED)) == L4_X_ASKED) {
        if (l4_row_left_ms(loop, s) <= 0)
            return answer_late(loop, index);
        l4_row_wake_at_deadline(loop, index);
        return l4_stay();
    }
    if (idle >= allowed)
        return l4_end(L4_END_IDLE_TIMEOUT);
    l4_row_wake_in(loop, index, l4_body_rate_wait_ms(loop, index, allowed - idle));
    return l4_stay();
}

const struct l4_stage l4_stage_exchange = {
    .enter = enter,
    .event = event,
    .timeout = timeout,
    .resume = exchange,
    .leave = l4_answer_drop_part,
};
