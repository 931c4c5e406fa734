#include "http/answer.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "core/passive.h"
#include "http/account.h"
#include "http/body_rate.h"
#include "http/caching.h"
#include "http/fill.h"
#include "http/inspect_pass.h"
#include "http/message.h"
#include "http/record.h"
#include "http/request_name.h"
#include "http/retry.h"
#include "http/serve.h"
#include "io/stream_ops.h"
#include "run/attempt.h"
#include "run/first_byte.h"

/* Is there a pipe for what the other side does not accept? If not, the session waits for
 * one. */
static bool has_pipe(struct l4_loop *loop, uint32_t index, const struct l4_half *from)
{
    if (from->pipe != L4_NO_PIPE || l4_pipes_ready(&loop->pipes))
        return true;
    l4_row_lacks(loop, &loop->pipeless, index);
    return false;
}

/* ---- without an answer ----------------------------------------------------------------------- */

/* The backend's connection ended or failed before the answer was whole, or its answer is no
 * HTTP. */
struct l4_step l4_answer_failed(struct l4_loop *loop, uint32_t index, enum l4_reason reason)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    x->flags &= ~(uint32_t)L4_X_BACKEND_STAYS;
    return l4_end(reason);
}

/* Passive health learns of an answer that did not come, or tells of a fault. */
void l4_answer_fault(struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    l4_passive_reset(loop->table, loop->setup.index, s->backend, l4_row_client(loop, s),
                     loop->now_ms);
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
        x->flags &= ~(uint32_t)(L4_X_REUSED | L4_X_ASKED);
        l4_first_byte_forget(loop, s);
        l4_half_close(&loop->pump, &s->half[L4_BACKEND], L4_CLOSE);
        l4_pump_discard(&loop->pump, &s->half[L4_CLIENT]);
        l4_row_set_deadline(loop, s, L4_GET(l4_row_pool(loop, s)->connect_timeout_ms));
        return l4_go(L4_SESSION_CONNECT);
    }
    /* why: a backend may close an idle connection at any time. */
    if (!(x->flags & L4_X_REUSED))
        l4_answer_fault(loop, index);
    if (l4_retry_elsewhere(loop, index, L4_RETRY_RESET))
        return l4_go(L4_SESSION_CONNECT);
    return l4_answer_failed(loop, index, reset ? L4_END_BACKEND_RESET : L4_END_BACKEND_FIN);
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

void l4_answer_drop_part(struct l4_loop *loop, uint32_t index)
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
    /* why: HTTP/2 and HTTP/1.0 have no chunks. */
    const bool chunks = x->minor && !l4_session_at(loop, index)->stream;
    if (head->framing == L4_FRAMING_UNTIL_CLOSE && chunks)
        goes = L4_FRAMING_CHUNKED;
    if (head->framing == L4_FRAMING_CHUNKED && !chunks)
        goes = L4_FRAMING_UNTIL_CLOSE;
    x->down = l4_body_of(head, (enum l4_framing)goes, 0);
    x->flags &= ~(uint32_t)L4_X_BACKEND_STAYS;
    /* why: a client that waits for 100 may or may not send its body after a final answer. */
    if (x->flags & L4_X_EXPECTS && !x->up.done && !x->up.bytes)
        x->flags = (x->flags | L4_X_BODY_REFUSED) & ~(uint32_t)L4_X_CLIENT_STAYS;
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
    struct l4_half *client = l4_serve_client(loop, index), *backend = l4_serve_backend(loop, index);
    struct l4_pump out = loop->pump;
    L4_ASSERT(body->at - head_bytes >= loop->pump.scratch);
    out.scratch = body->at - head_bytes;
    memcpy(out.scratch, loop->http->written, head_bytes);
    if (l4_io_of(client)->pass(&out, backend, client, head_bytes + body->bytes) == L4_PUMP_LOST)
        return l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
    return l4_stay();
}

/* The backend has answered, says its health. */
static void note_served(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    s->first_byte_us = (uint32_t)(loop->now_us - x->sent_us);
    if (!(x->flags & L4_X_BAD_STATUS))
        l4_passive_served(loop->table, s->backend);
    l4_first_byte_came(loop, s);
}

/* The backend has answered: what follows is certain now. */
static void note_answer(struct l4_loop *loop, uint32_t index, const struct l4_h1_head *head)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    x->status = head->status;
    x->flags |= L4_X_ANSWERED;
    x->answered_us = (uint32_t)(loop->now_us - x->asked_us);
    note_served(loop, index);
    l4_row_wake_in(
        loop, index,
        l4_body_rate_wait_ms(loop, index, L4_GET(l4_row_pool(loop, s)->idle_timeout_ms)));
    l4_serve_drop_request(loop, index);
    l4_answer_drop_part(loop, index);
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
    const uint64_t bad = L4_GET(l4_serve_pool_rules(loop, index)->bad_statuses);
    return status >= 500 && status < 564 && bad >> (status - 500) & 1;
}

/* ---- with a cache ---------------------------------------------------------------------------- */

/* What is stored is the answer: the backend is not needed any more. */
static struct l4_step send_stored(struct l4_loop *loop, uint32_t index, enum l4_cache_result result)
{
    note_served(loop, index);
    l4_answer_drop_part(loop, index);
    l4_spare_give(loop, index);
    return l4_caching_send(loop, index, result);
}

/* The cache sees the answer of its request. Answers L4_STAY if the client gets it. `more`:
 * something came behind its head. */
static struct l4_step show_cache(struct l4_loop *loop, uint32_t index, const char *bytes,
                                 const struct l4_h1_head *head, bool more)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_caching *c = l4_caching_at(loop, index);
    const bool asks = c->state == L4_CACHING_ASK && c->read.object;
    if (c->state == L4_CACHING_PURGE)
        l4_caching_invalidate(loop, index, bytes, head);
    if (c->state == L4_CACHING_PASS && x->method == L4_METHOD_HEAD && c->hash)
        l4_fill_see_head(loop, index, bytes, head);
    if (c->state != L4_CACHING_ASK && c->state != L4_CACHING_FETCH)
        return l4_stay();
    const bool stale = asks && head->status >= 500 && l4_caching_may_send_stale(loop, index);
    if (asks && (head->status == 304 || stale)) {
        if (head->framing != L4_FRAMING_NONE || more)
            x->flags &= ~(uint32_t)L4_X_BACKEND_STAYS;
        if (!stale)
            l4_fill_freshen(loop, index, bytes, head);
        return send_stored(loop, index, stale ? L4_CACHE_STALE : L4_CACHE_REVALIDATED);
    }
    l4_fill_begin(loop, index, bytes, head);
    return l4_stay();
}

/* The head of a final answer is whole. `rest`: what came behind it. */
static struct l4_step take_answer(struct l4_loop *loop, uint32_t index, const char *bytes,
                                  const struct l4_h1_head *head, char *rest, size_t rest_bytes)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_half *backend = l4_serve_backend(loop, index);
    struct l4_coded body = {.at = rest};
    if (is_bad_status(loop, index, head->status)) {
        x->flags |= L4_X_BAD_STATUS;
        l4_answer_fault(loop, index);
    }
    if (l4_retry_elsewhere(loop, index, cause_of(head->status)))
        return l4_go(L4_SESSION_CONNECT);
    l4_request_name_learn(loop, index, bytes, head);
    const uint32_t stays = x->flags & L4_X_CLIENT_STAYS;
    frame_answer(loop, index, head);
    if (x->cache && !head->tunnel) {
        const struct l4_step step = show_cache(loop, index, bytes, head, rest_bytes);
        if (step.kind != L4_STAY) {
            x->flags |= stays;
            return step;
        }
    }
    if (l4_inspect_wants_answer(loop, index, head)) {
        note_served(loop, index);
        l4_answer_drop_part(loop, index);
        return l4_inspect_hold(loop, index, bytes, head, rest, rest_bytes);
    }
    const size_t head_bytes = l4_message_answer(loop, index, bytes, head);
    if (!head_bytes || head_bytes + L4_CODE_BEFORE > (size_t)(rest - loop->pump.scratch))
        return l4_answer_failed(loop, index, L4_END_BAD_ANSWER);
    if (head->tunnel)
        return take_upgrade(loop, index, head, head_bytes, rest, rest_bytes);
    if (!x->down.done && rest_bytes && !l4_body_code(&x->down, rest, rest_bytes, &body))
        return l4_answer_failed(loop, index, L4_END_BAD_ANSWER);
    if (l4_fill_goes_on(loop, index)) {
        l4_fill_take(loop, index, body.data);
        if (x->down.done && l4_fill_goes_on(loop, index))
            l4_fill_end(loop, index);
    }
    l4_recording_answer(loop, index, (struct l4_text){loop->http->written, head_bytes});
    l4_recording_down(loop, index, body.data);
    if (rest_bytes > body.used) /* why: these bytes answer nothing that was asked */
        x->flags &= ~(uint32_t)L4_X_BACKEND_STAYS;
    note_answer(loop, index, head);
    if (rest_bytes >= L4_BULK_BYTES && x->down.comes == L4_FRAMING_LENGTH &&
        l4_io_of(backend)->splices && l4_io_of(l4_serve_client(loop, index))->splices)
        backend->flags |= L4_HALF_BULKY;
    return send_answer(loop, index, head_bytes, &body);
}

/* An answer that comes before the final one. 100, 102 and 103 are passed on to a client that knows
 * them. */
static struct l4_step take_informational(struct l4_loop *loop, uint32_t index, const char *bytes,
                                         const struct l4_h1_head *head)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_half *client = l4_serve_client(loop, index), *backend = l4_serve_backend(loop, index);
    if (head->status == 100)
        x->flags &= ~(uint32_t)L4_X_EXPECTS;
    if (++x->informed > L4_HTTP_INFORMED_MAX)
        return l4_answer_failed(loop, index, L4_END_BAD_ANSWER);
    if (!x->minor || head->status == 101 || head->status > 103)
        return l4_stay();
    struct l4_pump out = loop->pump;
    const size_t size = l4_message_answer(loop, index, bytes, head);
    out.scratch = loop->http->written;
    if (!size)
        return l4_answer_failed(loop, index, L4_END_BAD_ANSWER);
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
                return l4_answer_failed(loop, index, L4_END_BAD_ANSWER);
            return keep_part(loop, index, at, count)
                       ? l4_stay()
                       : l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
        }
        if (end < 0 || l4_h1_answer(at, (size_t)end, &bounds, (enum l4_method)x->method, &head))
            return l4_answer_failed(loop, index, L4_END_BAD_ANSWER);
        x->answer_scanned = 0;
        if (head.status >= 200 || head.tunnel)
            return take_answer(loop, index, at, &head, at + end, count - (size_t)end);
        const struct l4_step step = take_informational(loop, index, at, &head);
        if (step.kind != L4_STAY)
            return step;
        at += end;
        count -= (size_t)end;
    }
    l4_answer_drop_part(loop, index);
    return l4_stay();
}

/* Reads once of what the backend has sent. *again: it may have sent more. */
static struct l4_step read_once(struct l4_loop *loop, uint32_t index, bool *again)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_half *client = l4_serve_client(loop, index), *backend = l4_serve_backend(loop, index);
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
        l4_serve_count_bytes(loop, index, L4_BACKEND, (uint64_t)got);
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
    return x->flags & L4_X_HEARD ? l4_answer_failed(loop, index, L4_END_BAD_ANSWER)
                                 : unanswered(loop, index);
}

/* Reads what the backend has sent, up to the answer's head. why on and on: one edge may tell of
 * bytes and of the connection's end. A head's bytes and informational answers are bounded. */
struct l4_step l4_answer_read(struct l4_loop *loop, uint32_t index)
{
    bool again = true;
    struct l4_step step = l4_stay();
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    while (again && step.kind == L4_STAY && !(x->flags & L4_X_ANSWERED) &&
           !(x->holds & L4_HOLDS_ANSWER))
        step = read_once(loop, index, &again);
    return step;
}

/* ---- another protocol ------------------------------------------------------------------------ */

/* The backend has agreed to another protocol: from here on the session is a relay. */
static struct l4_step take_upgrade(struct l4_loop *loop, uint32_t index,
                                   const struct l4_h1_head *head, size_t head_bytes, char *rest,
                                   size_t rest_bytes)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_coded body = {.at = rest, .bytes = rest_bytes};
    if (!(x->flags & L4_X_UPGRADE) || !x->up.done)
        return l4_answer_failed(loop, index, L4_END_BAD_ANSWER);
    l4_recording_answer(loop, index, (struct l4_text){loop->http->written, head_bytes});
    const struct l4_step step = send_answer(loop, index, head_bytes, &body);
    if (step.kind != L4_STAY)
        return step;
    if (!l4_serve_pass_rest(loop, index))
        return l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
    /* From here on it is a session of TCP: it may idle, be drained and be handed over as such. */
    note_answer(loop, index, head);
    l4_account_answer(loop, index, L4_END_NONE);
    l4_request_name_keep(loop, index);
    l4_session_at(loop, index)->http = L4_NO_HTTP;
    return l4_serve_relay(loop, index);
}
