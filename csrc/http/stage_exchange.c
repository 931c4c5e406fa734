/* EXCHANGE: a request goes to its backend, and the answer comes back.
 *
 * The request's head was written anew and is sent with what is there of its body. The answer's head
 * is read, judged and written anew; bodies pass through http/body.h. Until the answer's head has
 * come, the block keeps the request, so that it can be sent again.
 *
 * A connection that was used before may be closed by the backend at the moment when the request is
 * sent. A request that got no byte of an answer on such a connection is sent once more, over a new
 * connection to the same backend, if nothing of it is lost and sending it twice does no harm.
 */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "core/passive.h"
#include "http/account.h"
#include "http/message.h"
#include "http/retry.h"
#include "http/serve.h"
#include "http/stages.h"
#include "io/stream_ops.h"
#include "run/attempt.h"
#include "run/first_byte.h"

static struct l4_half *client_of(const struct l4_loop *loop, uint32_t index)
{
    return &l4_session_at(loop, index)->half[L4_CLIENT];
}

static struct l4_half *backend_of(const struct l4_loop *loop, uint32_t index)
{
    return &l4_session_at(loop, index)->half[L4_BACKEND];
}

static const struct l4_http_pool *pool_rules(const struct l4_loop *loop, uint32_t index)
{
    return &l4_row_pool(loop, l4_session_at(loop, index))->http;
}

static void count_bytes(const struct l4_loop *loop, uint32_t index, enum l4_side from,
                        uint64_t bytes)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (!bytes)
        return;
    L4_OWN_ADD(s->bytes[from], bytes);
    if (from == L4_CLIENT)
        L4_OWN_ADD(l4_row_column(loop, s)->bytes_in, bytes);
    else
        L4_OWN_ADD(l4_row_column(loop, s)->bytes_out, bytes);
    L4_SET(s->active_ms, loop->now_ms);
}

/* Is there a pipe for what the other side does not accept? If not, the session tries again soon. */
static bool has_pipe(struct l4_loop *loop, uint32_t index, const struct l4_half *from)
{
    if (from->pipe != L4_NO_PIPE || l4_pipes_ready(&loop->pipes))
        return true;
    l4_row_later(loop, index);
    return false;
}

/* ---- the end of an exchange ------------------------------------------------------------------ */

/* The backend's connection ended or failed before the answer was whole, or its answer is no
 * HTTP. */
static struct l4_step answer_failed(struct l4_loop *loop, uint32_t index, enum l4_reason reason)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    x->flags &= ~(uint32_t)L4_X_BACKEND_STAYS;
    return l4_end(reason);
}

/* Passive health learns of an answer that did not come, or tells of a fault. */
static void note_fault(struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    l4_passive_reset(loop->table, loop->setup.index, s->backend, &s->client, loop->now_ms);
}

/* The backend's connection ended without a byte of an answer. */
static struct l4_step unanswered(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    const bool reset = s->half[L4_BACKEND].flags & (L4_HALF_RESET | L4_HALF_BROKEN);
    if (x->flags & L4_X_REUSED && l4_retry_may(loop, index, L4_RETRY_REUSE)) {
        l4_account_retry(loop, index, L4_RETRY_REUSE);
        x->flags |= L4_X_FRESH;
        x->flags &= ~(uint32_t)(L4_X_REUSED | L4_X_ASKED | L4_X_HEAD_SENT);
        l4_first_byte_forget(loop, s);
        l4_half_close(&loop->pump, &s->half[L4_BACKEND], L4_CLOSE);
        l4_pump_discard(&loop->pump, &s->half[L4_CLIENT]);
        l4_row_set_deadline(loop, s, L4_GET(l4_row_pool(loop, s)->connect_timeout_ms));
        return l4_go(L4_SESSION_CONNECT);
    }
    note_fault(loop, index);
    if (l4_retry_elsewhere(loop, index, L4_RETRY_RESET))
        return l4_go(L4_SESSION_CONNECT);
    return answer_failed(loop, index, reset ? L4_END_BACKEND_RESET : L4_END_BACKEND_FIN);
}

/* The answer is with the client, and the request with the backend. */
static struct l4_step finish(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    const bool stays = x->flags & L4_X_CLIENT_STAYS;
    l4_account_answer(loop, index, L4_END_NONE);
    l4_pump_discard(&loop->pump, &s->half[L4_CLIENT]); /* the empty pipe of a bulky body */
    l4_spare_give(loop, index);
    l4_attempt_leave(loop, s);
    return l4_go(stays ? L4_SESSION_REQUEST : L4_SESSION_REPLY);
}

/* ---- the request ----------------------------------------------------------------------------- */

/* Sends the head, and what came with it of the body. */
static struct l4_step send_request(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_half *client = client_of(loop, index), *backend = backend_of(loop, index);
    struct l4_pump out = loop->pump;
    size_t bytes;
    if (!l4_message_request(loop, index, &out.scratch, &bytes)) {
        const bool bad = x->flags & L4_X_BAD_BODY;
        x->flags &= ~(uint32_t)L4_X_CLIENT_STAYS;
        return l4_serve_refuse(loop, index, bad ? 400 : 431,
                               bad ? L4_END_REJECTED_BAD_REQUEST : L4_END_REJECTED_TOO_LARGE);
    }
    x->flags |= L4_X_HEAD_SENT;
    x->sent_us = loop->now_us;
    if (l4_io_of(backend)->pass(&out, client, backend, bytes) == L4_PUMP_LOST)
        return l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
    L4_OWN_ADD(l4_row_column(loop, l4_session_at(loop, index))->bytes_in, bytes);
    l4_first_byte_asked(loop, l4_session_at(loop, index));
    return l4_stay();
}

static struct l4_step move_up(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_half *client = client_of(loop, index), *backend = backend_of(loop, index);
    uint64_t moved;
    const char *extra_at;
    size_t extra;
    if (x->up.done || backend->flags & L4_HALF_BROKEN) {
        l4_pump_flush(&loop->pump, client, backend);
        return l4_stay();
    }
    const enum l4_body_result result =
        l4_body_move(loop, client, backend, &x->up, &moved, &extra_at, &extra);
    count_bytes(loop, index, L4_CLIENT, moved);
    if (moved)
        x->flags |= L4_X_BODY_BEGUN;
    const uint64_t max = L4_GET(l4_serve_rules(loop, l4_session_at(loop, index))->max_body);
    if (max && x->up.bytes > max) {
        x->flags &= (uint16_t) ~(L4_X_CLIENT_STAYS | L4_X_BACKEND_STAYS);
        return x->flags & L4_X_ANSWERED
                   ? l4_end(L4_END_REJECTED_TOO_LARGE)
                   : l4_serve_refuse(loop, index, 413, L4_END_REJECTED_TOO_LARGE);
    }
    switch (result) {
    case L4_BODY_LOST:
        return l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
    case L4_BODY_ENDED:
        return l4_end(client->flags & L4_HALF_RESET ? L4_END_CLIENT_RESET : L4_END_CLIENT_FIN);
    case L4_BODY_BAD:
        x->flags &= ~(uint32_t)L4_X_CLIENT_STAYS;
        return x->flags & L4_X_ANSWERED
                   ? l4_end(L4_END_REJECTED_BAD_REQUEST)
                   : l4_serve_refuse(loop, index, 400, L4_END_REJECTED_BAD_REQUEST);
    case L4_BODY_MORE:
        if (!x->up.done)
            l4_row_later(loop, index);
        break;
    case L4_BODY_WAITS:
        break;
    }
    return l4_serve_keep_extra(loop, index, extra_at, extra)
               ? l4_stay()
               : l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
}

/* ---- the answer's head ----------------------------------------------------------------------- */

/* Where an answer is read to: room before it for a longer head, and behind it for a chunk's
 * end. */
static char *answer_place(const struct l4_loop *loop)
{
    return loop->pump.scratch + L4_HTTP_ANSWER_ROOM;
}

static size_t answer_room(const struct l4_half *client)
{
    const size_t max = l4_io_of(client)->max;
    return (max < L4_SCRATCH_BYTES ? max : L4_SCRATCH_BYTES) - L4_HTTP_ANSWER_ROOM - L4_CODE_BEHIND;
}

/* Keeps the begin of a head until the rest comes. Returns false if there is no room. */
static bool keep_part(struct l4_loop *loop, uint32_t index, const char *at, size_t bytes)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    if (x->answer_block == L4_NONE)
        x->answer_block = l4_http_take_block(loop->http);
    if (x->answer_block == L4_NONE || bytes >= L4_HTTP_BLOCK_BYTES)
        return false;
    memcpy(l4_http_block(loop->http, x->answer_block), at, bytes);
    x->answer_have = (uint32_t)bytes;
    return true;
}

static void drop_part(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    if (x->answer_block != L4_NONE)
        l4_http_give_block(loop->http, x->answer_block);
    x->answer_block = L4_NONE;
    x->answer_have = x->answer_scanned = 0;
}

/* Decides how the answer's body goes to the client, and whether the two connections are used
 * again. */
static void frame_answer(struct l4_loop *loop, uint32_t index, const struct l4_h1_head *head)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    uint8_t goes = head->framing;
    if (head->framing == L4_FRAMING_UNTIL_CLOSE && x->minor)
        goes = L4_FRAMING_CHUNKED;
    if (head->framing == L4_FRAMING_CHUNKED && !x->minor)
        goes = L4_FRAMING_UNTIL_CLOSE;
    x->down = (struct l4_body){
        .comes = head->framing,
        .goes = goes,
        .done = head->framing == L4_FRAMING_NONE ||
                (head->framing == L4_FRAMING_LENGTH && head->length == 0),
        .left = head->framing == L4_FRAMING_LENGTH ? head->length : 0,
    };
    x->flags &= ~(uint32_t)L4_X_BACKEND_STAYS;
    /* why: a client that waits for 100 may or may not send its body after a final answer. */
    if (x->flags & L4_X_EXPECTS && !x->up.done && !x->up.bytes)
        x->flags = (uint32_t)((x->flags | L4_X_BODY_REFUSED) & ~L4_X_CLIENT_STAYS);
    else if (head->keep_alive && head->framing != L4_FRAMING_UNTIL_CLOSE)
        x->flags |= L4_X_BACKEND_STAYS;
    if (goes == L4_FRAMING_UNTIL_CLOSE || !l4_serve_client_stays(loop, index))
        x->flags &= ~(uint32_t)L4_X_CLIENT_STAYS;
}

/* Sends the head that was written, and `body` behind it, in one piece. `room` bytes before the body
 * may be written over. */
static struct l4_step send_answer(struct l4_loop *loop, uint32_t index, size_t head_bytes,
                                  const struct l4_coded *body)
{
    struct l4_half *client = client_of(loop, index), *backend = backend_of(loop, index);
    struct l4_pump out = loop->pump;
    L4_ASSERT(body->at - head_bytes >= loop->pump.scratch);
    out.scratch = body->at - head_bytes;
    memcpy(out.scratch, loop->http->written, head_bytes);
    if (l4_io_of(client)->pass(&out, backend, client, head_bytes + body->bytes) == L4_PUMP_LOST)
        return l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
    return l4_stay();
}

/* The backend has answered: what follows is certain now. */
static void note_answer(struct l4_loop *loop, uint32_t index, const struct l4_h1_head *head)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    x->status = head->status;
    x->flags |= L4_X_ANSWERED;
    x->answered_us = (uint32_t)(loop->now_us - x->asked_us);
    s->first_byte_us = (uint32_t)(loop->now_us - x->sent_us);
    if (!(x->flags & L4_X_BAD_STATUS))
        l4_passive_served(loop->table, s->backend);
    l4_first_byte_came(loop, s);
    l4_serve_drop_request(loop, index);
    drop_part(loop, index);
}

static struct l4_step take_upgrade(struct l4_loop *loop, uint32_t index,
                                   const struct l4_h1_head *head, size_t head_bytes, char *rest,
                                   size_t rest_bytes);

/* Returns the cause for which a request with this answer may be sent elsewhere; 0: none. */
static uint32_t cause_of(uint16_t status)
{
    return status == 502   ? L4_RETRY_502
           : status == 503 ? L4_RETRY_503
           : status == 504 ? L4_RETRY_504
                           : 0;
}

/* Does the pool count this status as a fault of its backend? */
static bool is_bad_status(const struct l4_loop *loop, uint32_t index, uint16_t status)
{
    const uint64_t bad = L4_GET(pool_rules(loop, index)->bad_statuses);
    return status >= 500 && status < 564 && bad >> (status - 500) & 1;
}

/* The head of a final answer is whole. `rest`: what came behind it. */
static struct l4_step take_answer(struct l4_loop *loop, uint32_t index, const char *bytes,
                                  const struct l4_h1_head *head, char *rest, size_t rest_bytes)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_half *backend = backend_of(loop, index);
    struct l4_coded body = {.at = rest};
    if (is_bad_status(loop, index, head->status)) {
        x->flags |= L4_X_BAD_STATUS;
        note_fault(loop, index);
    }
    if (l4_retry_elsewhere(loop, index, cause_of(head->status)))
        return l4_go(L4_SESSION_CONNECT);
    frame_answer(loop, index, head);
    const size_t head_bytes = l4_message_answer(loop, index, bytes, head);
    if (!head_bytes || head_bytes + L4_CODE_BEFORE > (size_t)(rest - loop->pump.scratch))
        return answer_failed(loop, index, L4_END_BAD_ANSWER);
    if (head->tunnel)
        return take_upgrade(loop, index, head, head_bytes, rest, rest_bytes);
    if (!x->down.done && rest_bytes) {
        if (!l4_body_code(&x->down, rest, rest_bytes, &body))
            return answer_failed(loop, index, L4_END_BAD_ANSWER);
    }
    if (rest_bytes > body.used) /* why: these bytes answer nothing that was asked */
        x->flags &= ~(uint32_t)L4_X_BACKEND_STAYS;
    note_answer(loop, index, head);
    if (rest_bytes >= L4_BULK_BYTES && x->down.comes == L4_FRAMING_LENGTH &&
        l4_io_of(backend)->splices && l4_io_of(client_of(loop, index))->splices)
        backend->flags |= L4_HALF_BULKY;
    return send_answer(loop, index, head_bytes, &body);
}

/* An answer that comes before the final one. 100 and 103 are passed on to a client that knows
 * them. */
static struct l4_step take_informational(struct l4_loop *loop, uint32_t index, const char *bytes,
                                         const struct l4_h1_head *head)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_half *client = client_of(loop, index), *backend = backend_of(loop, index);
    if (head->status == 100)
        x->flags &= ~(uint32_t)L4_X_EXPECTS;
    if (++x->informed > L4_HTTP_INFORMED_MAX)
        return answer_failed(loop, index, L4_END_BAD_ANSWER);
    if (!x->minor || (head->status != 100 && head->status != 103))
        return l4_stay();
    struct l4_pump out = loop->pump;
    const size_t size = l4_message_answer(loop, index, bytes, head);
    out.scratch = loop->http->written;
    if (!size)
        return answer_failed(loop, index, L4_END_BAD_ANSWER);
    if (l4_io_of(client)->pass(&out, backend, client, size) == L4_PUMP_LOST)
        return l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
    return l4_stay();
}

/* Judges what has come of the answer, `count` bytes at `at`. */
static struct l4_step look_at_answer(struct l4_loop *loop, uint32_t index, char *at, size_t count)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_h1_bounds bounds = {
        .head = L4_HTTP_ANSWER_HEAD_MAX, .target = 0, .fields = L4_H1_FIELDS_MAX};
    struct l4_h1_head head;
    while (count) {
        size_t scanned = x->answer_scanned;
        const long end = l4_h1_end(at, count, &scanned);
        if (end == 0) {
            x->answer_scanned = (uint32_t)scanned;
            if (count >= L4_HTTP_ANSWER_HEAD_MAX)
                return answer_failed(loop, index, L4_END_BAD_ANSWER);
            return keep_part(loop, index, at, count)
                       ? l4_stay()
                       : l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
        }
        if (end < 0 || l4_h1_answer(at, (size_t)end, &bounds, (enum l4_method)x->method, &head))
            return answer_failed(loop, index, L4_END_BAD_ANSWER);
        x->answer_scanned = 0;
        if (head.status >= 200 || head.tunnel)
            return take_answer(loop, index, at, &head, at + end, count - (size_t)end);
        const struct l4_step step = take_informational(loop, index, at, &head);
        if (step.kind != L4_STAY)
            return step;
        at += end;
        count -= (size_t)end;
    }
    drop_part(loop, index);
    return l4_stay();
}

/* Reads once of what the backend has sent. *again: it may have sent more. */
static struct l4_step read_once(struct l4_loop *loop, uint32_t index, bool *again)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_half *client = client_of(loop, index), *backend = backend_of(loop, index);
    char *place = answer_place(loop);
    struct l4_pump in = loop->pump;
    *again = false;
    if (!(backend->flags & L4_HALF_IN) || backend->piped || !has_pipe(loop, index, backend))
        return l4_stay();
    in.scratch = place + x->answer_have;
    const ssize_t got =
        l4_io_of(backend)->receive(&in, backend, client, answer_room(client) - x->answer_have);
    if (got > 0) {
        *again = true;
        x->flags |= L4_X_HEARD;
        count_bytes(loop, index, L4_BACKEND, (uint64_t)got);
        if (x->answer_have)
            memcpy(place, l4_http_block(loop->http, x->answer_block), x->answer_have);
        return look_at_answer(loop, index, place, x->answer_have + (size_t)got);
    }
    if (got < 0 && errno == EBUSY)
        return l4_stay();
    backend->flags &= (uint16_t)~L4_HALF_IN;
    if (got < 0 && errno == EAGAIN)
        return l4_stay();
    backend->flags |= got ? L4_HALF_RESET : L4_HALF_EOF;
    L4_ASSERT(s->backend != L4_NONE);
    return x->flags & L4_X_HEARD ? answer_failed(loop, index, L4_END_BAD_ANSWER)
                                 : unanswered(loop, index);
}

/* Reads what the backend has sent, up to the answer's head. why on and on: one edge may tell of
 * bytes and of the connection's end. A head's bytes and informational answers are bounded. */
static struct l4_step read_answer(struct l4_loop *loop, uint32_t index)
{
    bool again = true;
    struct l4_step step = l4_stay();
    while (again && step.kind == L4_STAY && !(l4_exchange_at(loop, index)->flags & L4_X_ANSWERED))
        step = read_once(loop, index, &again);
    return step;
}

/* ---- the answer's body ----------------------------------------------------------------------- */

static struct l4_step move_down(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_half *client = client_of(loop, index), *backend = backend_of(loop, index);
    uint64_t moved;
    const char *extra_at;
    size_t extra;
    if (x->down.done) {
        l4_pump_flush(&loop->pump, backend, client);
        return l4_stay();
    }
    const enum l4_body_result result =
        l4_body_move(loop, backend, client, &x->down, &moved, &extra_at, &extra);
    count_bytes(loop, index, L4_BACKEND, moved);
    if (extra)
        x->flags &= ~(uint32_t)L4_X_BACKEND_STAYS;
    switch (result) {
    case L4_BODY_LOST:
        return l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
    case L4_BODY_BAD:
        return answer_failed(loop, index, L4_END_BAD_ANSWER);
    case L4_BODY_ENDED:
        return answer_failed(loop, index,
                             backend->flags & L4_HALF_RESET ? L4_END_BACKEND_RESET
                                                            : L4_END_BACKEND_FIN);
    case L4_BODY_MORE:
        if (!x->down.done)
            l4_row_later(loop, index);
        break;
    case L4_BODY_WAITS:
        break;
    }
    return l4_stay();
}

/* ---- another protocol ------------------------------------------------------------------------ */

/* The backend has agreed to another protocol: from here on the session is a relay. */
static struct l4_step take_upgrade(struct l4_loop *loop, uint32_t index,
                                   const struct l4_h1_head *head, size_t head_bytes, char *rest,
                                   size_t rest_bytes)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_half *client = client_of(loop, index), *backend = backend_of(loop, index);
    const struct l4_coded body = {.at = rest, .bytes = rest_bytes};
    if (!(x->flags & L4_X_UPGRADE) || !x->up.done)
        return answer_failed(loop, index, L4_END_BAD_ANSWER);
    const struct l4_step step = send_answer(loop, index, head_bytes, &body);
    if (step.kind != L4_STAY)
        return step;
    /* What the client has sent behind its request is of the new protocol. */
    struct l4_pump out = loop->pump;
    const uint32_t used = x->head_bytes + x->body_bytes;
    out.scratch = l4_http_block(loop->http, x->block) + used;
    if (x->have > used &&
        l4_io_of(backend)->pass(&out, client, backend, x->have - used) == L4_PUMP_LOST)
        return l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
    /* From here on it is a session of TCP: it may idle, be drained and be handed over as such. */
    note_answer(loop, index, head);
    l4_account_answer(loop, index, L4_END_NONE);
    l4_serve_free(loop, index);
    l4_loop_unwatch(loop, backend->fd);
    backend->flags &= (uint16_t)~L4_HALF_WATCHED;
    l4_session_at(loop, index)->http = 0;
    const int error = l4_row_watch(loop, index);
    return error ? l4_end_by_error(l4_session_at(loop, index), error) : l4_go(L4_SESSION_RELAY);
}

/* ---- the stage ------------------------------------------------------------------------------- */

/* Is nothing of the exchange under way any more? */
static bool is_over(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_half *client = client_of(loop, index), *backend = backend_of(loop, index);
    return x->flags & L4_X_ANSWERED && x->down.done && backend->piped == 0 &&
           !(client->flags & L4_HALF_UNSENT) &&
           ((x->up.done && client->piped == 0) || backend->flags & L4_HALF_BROKEN ||
            x->flags & L4_X_BODY_REFUSED);
}

static struct l4_step ends_of(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    if (client_of(loop, index)->flags & L4_HALF_BROKEN)
        return l4_end(L4_END_CLIENT_RESET);
    if (!is_over(loop, index))
        return l4_stay();
    if (!x->up.done)
        x->flags &= (uint16_t) ~(L4_X_CLIENT_STAYS | L4_X_BACKEND_STAYS);
    return finish(loop, index);
}

/* Returns how long the backend may take until its answer begins. */
static uint32_t answer_timeout_ms(const struct l4_loop *loop, uint32_t index)
{
    const uint32_t of_route = l4_exchange_at(loop, index)->timeout_ms;
    return of_route ? of_route : L4_GET(pool_rules(loop, index)->answer_timeout_ms);
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

static struct l4_step exchange(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_step step = move_up(loop, index);
    if (step.kind == L4_STAY && !(x->flags & L4_X_ANSWERED)) {
        note_asked(loop, index);
        step = read_answer(loop, index);
    }
    if (step.kind == L4_STAY && x->flags & L4_X_ANSWERED)
        step = move_down(loop, index);
    return step.kind == L4_STAY ? ends_of(loop, index) : step;
}

static struct l4_step enter(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    L4_ASSERT(s->http && s->backend != L4_NONE && s->half[L4_BACKEND].fd >= 0);
    if (l4_table_backend(loop->table, s->backend)->addr.family == AF_UNIX)
        s->half[L4_BACKEND].flags |= L4_HALF_NODELAY;
    x->informed = 0;
    const struct l4_step step = send_request(loop, index);
    if (step.kind != L4_STAY)
        return step;
    l4_row_wake_in(loop, index, L4_GET(l4_row_pool(loop, s)->idle_timeout_ms));
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
    note_fault(loop, index);
    if (l4_retry_elsewhere(loop, index, L4_RETRY_TIMEOUT))
        return l4_go(L4_SESSION_CONNECT);
    return answer_failed(loop, index, L4_END_ANSWER_TIMEOUT);
}

/* The timer may fire too early: bytes may have moved since it was set. */
static struct l4_step timeout(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const uint64_t allowed = L4_GET(l4_row_pool(loop, s)->idle_timeout_ms);
    const uint64_t idle = loop->now_ms - L4_GET(s->active_ms);
    if ((x->flags & (L4_X_ASKED | L4_X_ANSWERED)) == L4_X_ASKED) {
        if (l4_row_left_ms(loop, s) <= 0)
            return answer_late(loop, index);
        l4_row_wake_at_deadline(loop, index);
        return l4_stay();
    }
    if (idle >= allowed)
        return l4_end(L4_END_IDLE_TIMEOUT);
    l4_row_wake_in(loop, index, allowed - idle);
    return l4_stay();
}

const struct l4_stage l4_stage_exchange = {
    .enter = enter,
    .event = event,
    .timeout = timeout,
    .resume = exchange,
    .leave = drop_part,
};
