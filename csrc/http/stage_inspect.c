/* INSPECT: an engine is asked about the request or the answer that the session holds back.
 *
 * Of a request, the body is collected here first; of an answer, EXCHANGE has done that. The
 * engine's connection is in the place of the backend's. The session keeps its place at the backend
 * while its answer is inspected: the request is in progress there until its client has the answer.
 */
#include <errno.h>

#include "base/assert.h"
#include "http/account.h"
#include "http/body_rate.h"
#include "http/caching.h"
#include "http/inspect_heads.h"
#include "http/inspect_pass.h"
#include "http/message.h"
#include "http/record.h"
#include "http/routing.h"
#include "http/serve.h"
#include "http/stages.h"
#include "io/stream_ops.h"
#include "run/attempt.h"
#include "run/client_wait.h"
#include "run/shaping.h"

static bool is_request(const struct l4_loop *loop, uint32_t index)
{
    return l4_inspect_at(loop, index)->side == L4_CLIENT;
}

static struct l4_step refuse(struct l4_loop *loop, uint32_t index, uint16_t status,
                             enum l4_reason reason, const char *fault)
{
    l4_exchange_at(loop, index)->fault = fault;
    return l4_serve_refuse(loop, index, status, reason);
}

/* ---- the request goes on --------------------------------------------------------------------- */

/* The head says by now how the held body goes on. `after`: the state of the body behind it. */
static struct l4_step let_go(struct l4_loop *loop, uint32_t index, struct l4_body after)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_inspecting *in = l4_inspect_at(loop, index);
    in->after[L4_CLIENT] = after;
    if (in->body[L4_CLIENT].bytes) {
        x->holds |= L4_HOLDS_REQUEST;
        l4_inspect_pass_request(loop, index);
    }
    x->holds |= L4_HOLDS_PASSED;
    return l4_routing_go_on(loop, index, in->cache);
}

/* All of the request's body is held: it goes on with its length. */
static struct l4_step let_whole_go(struct l4_loop *loop, uint32_t index, struct l4_text changed)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_inspecting *in = l4_inspect_at(loop, index);
    const uint64_t bytes = in->body[L4_CLIENT].bytes;
    if ((changed.at || in->was_chunked || x->flags & L4_X_EXPECTS) &&
        !l4_inspect_renew(loop, index, changed, true, bytes))
        return refuse(loop, index, 502, L4_END_ERROR, "inspection_failed");
    x->flags &= ~(uint32_t)L4_X_EXPECTS;
    return let_go(
        loop, index,
        (struct l4_body){
            .comes = L4_FRAMING_LENGTH, .goes = L4_FRAMING_LENGTH, .done = true, .bytes = bytes});
}

/* ---- the answer is sent ---------------------------------------------------------------------- */

/* The client has it. */
static struct l4_step finish(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const bool stays = x->flags & L4_X_CLIENT_STAYS;
    l4_caching_end(loop, index);
    l4_account_answer(loop, index, (enum l4_reason)s->reason);
    l4_serve_end_answer(loop, index);
    l4_pump_discard(&loop->pump, &s->half[L4_CLIENT]);
    l4_half_close(&loop->pump, &s->half[L4_BACKEND], L4_CLOSE); /* its empty pipe */
    l4_attempt_leave(loop, s);
    return l4_go(stays ? L4_SESSION_REQUEST : L4_SESSION_REPLY);
}

static struct l4_step send_on(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_half *client = l4_serve_client(loop, index), *holder = l4_serve_holder(loop, index);
    struct l4_held *body = &l4_inspect_at(loop, index)->body[L4_BACKEND];
    uint64_t moved;
    enum l4_held_result result = L4_HELD_DONE;
    if (client->flags & L4_HALF_BROKEN)
        return l4_end(L4_END_CLIENT_RESET);
    if (!x->down.done) {
        const size_t before = body->sent;
        result = l4_held_pass(loop, body, holder, client, false, false, &moved);
        l4_recording_down(loop, index, (struct l4_text){body->at + before, (size_t)moved});
        x->down.bytes += moved;
        x->down.done = result == L4_HELD_DONE;
        L4_OWN_ADD(l4_session_at(loop, index)->bytes[L4_BACKEND], moved);
        if (moved)
            L4_SET(l4_session_at(loop, index)->active_ms, loop->now_ms);
    } else {
        l4_pump_flush(&loop->pump, holder, client);
    }
    if (result == L4_HELD_LOST)
        return l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
    if (result == L4_HELD_MORE)
        l4_row_later(loop, index);
    if (client->flags & L4_HALF_BROKEN)
        return l4_end(L4_END_CLIENT_RESET);
    const bool waits = !x->down.done || holder->piped || client->flags & L4_HALF_UNSENT;
    return waits ? l4_stay() : finish(loop, index);
}

/* Sends the answer with this head, and the body that is held. Its client may not stay if a part of
 * its request is not here. */
static struct l4_step send_answer(struct l4_loop *loop, uint32_t index, struct l4_text text)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_inspecting *in = l4_inspect_at(loop, index);
    struct l4_pump out = loop->pump;
    struct l4_h1_head head;
    if (!l4_inspect_read_answer(loop, index, text, in->body[L4_BACKEND].bytes, &head))
        return refuse(loop, index, 502, L4_END_ERROR, "inspection_failed");
    if (!x->up.done || !l4_serve_client_stays(loop, index))
        x->flags &= ~(uint32_t)L4_X_CLIENT_STAYS;
    x->down = l4_body_of(&head, (enum l4_framing)head.framing, 0);
    const size_t bytes = l4_message_answer(loop, index, text.at, &head);
    if (!bytes)
        return refuse(loop, index, 502, L4_END_ERROR, "inspection_failed");
    in->phase = L4_INSPECT_SENDS;
    x->status = head.status;
    x->flags |= L4_X_ANSWERED;
    x->answered_us = (uint32_t)(loop->now_us - x->asked_us);
    l4_serve_drop_request(loop, index);
    L4_SET(s->active_ms, loop->now_ms);
    l4_row_wake_in(loop, index, L4_GET(l4_row_pool(loop, s)->idle_timeout_ms));
    out.scratch = loop->http->written;
    l4_recording_answer(loop, index, (struct l4_text){out.scratch, bytes});
    if (l4_io_of(&s->half[L4_CLIENT])
            ->pass(&out, l4_serve_holder(loop, index), &s->half[L4_CLIENT], bytes) == L4_PUMP_LOST)
        return l4_end_by_error(s, -ENOMEM);
    return send_on(loop, index);
}

static struct l4_text original_head(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_held *head = &l4_inspect_at(loop, index)->head;
    return (struct l4_text){head->at, head->bytes};
}

/* ---- verdicts -------------------------------------------------------------------------------- */

/* It goes on as it came. */
static struct l4_step let_pass(struct l4_loop *loop, uint32_t index)
{
    return is_request(loop, index) ? let_whole_go(loop, index, (struct l4_text){NULL, 0})
                                   : send_answer(loop, index, original_head(loop, index));
}

/* It could not be inspected. */
static struct l4_step failed(struct l4_loop *loop, uint32_t index)
{
    l4_inspect_note(loop, index, L4_INSPECT_FAILED);
    if (l4_inspect_at(loop, index)->rule.fails_open &&
        !(l4_exchange_at(loop, index)->holds & L4_HOLDS_LOST))
        return let_pass(loop, index);
    return refuse(loop, index, 503, L4_END_ERROR, "inspection_failed");
}

static bool is_same(const struct l4_held *a, const struct l4_held *b)
{
    return a->bytes == b->bytes && (!a->bytes || memcmp(a->at, b->at, a->bytes) == 0);
}

/* Takes the body that the engine has sent in place of one that is held. */
static void take_body(struct l4_loop *loop, uint32_t index, enum l4_side side)
{
    struct l4_inspecting *in = l4_inspect_at(loop, index);
    l4_held_close(&in->body[side], &loop->http->inspections->bytes);
    in->body[side] = in->talk.body;
    in->talk.body = (struct l4_held){0};
}

/* The engine has sent an answer, for the client. Another status than that of the backend's, or a
 * word of a find, tells that it is in place of the answer. */
static struct l4_step take_answer(struct l4_loop *loop, uint32_t index, struct l4_text text)
{
    struct l4_inspecting *in = l4_inspect_at(loop, index);
    const bool request = is_request(loop, index);
    struct l4_h1_head new, old;
    if (!l4_inspect_read_answer(loop, index, text, in->talk.body.bytes, &new))
        return failed(loop, index);
    const bool blocked =
        request || in->talk.reader.head.finds ||
        !l4_inspect_read_answer(loop, index, original_head(loop, index), 0, &old) ||
        old.status != new.status;
    if (!blocked && l4_text_is(text, in->talk.answer) &&
        is_same(&in->talk.body, &in->body[L4_BACKEND])) {
        l4_inspect_note(loop, index, L4_INSPECT_CLEAN);
        return let_pass(loop, index);
    }
    l4_inspect_note(loop, index, blocked ? L4_INSPECT_BLOCKED : L4_INSPECT_CHANGED);
    take_body(loop, index, L4_BACKEND);
    if (request) {
        l4_exchange_at(loop, index)->fault = "blocked";
        l4_session_at(loop, index)->reason = L4_END_REJECTED_FILTER;
    }
    return send_answer(loop, index, text);
}

/* The engine has sent a request, in place of the client's. */
static struct l4_step take_request(struct l4_loop *loop, uint32_t index, struct l4_text text)
{
    struct l4_inspecting *in = l4_inspect_at(loop, index);
    if (l4_text_is(text, in->talk.request) && is_same(&in->talk.body, &in->body[L4_CLIENT])) {
        l4_inspect_note(loop, index, L4_INSPECT_CLEAN);
        return let_pass(loop, index);
    }
    const uint64_t bytes = in->talk.body.bytes;
    if (!l4_inspect_renew(loop, index, text, true, bytes))
        return failed(loop, index);
    l4_inspect_note(loop, index, L4_INSPECT_CHANGED);
    take_body(loop, index, L4_CLIENT);
    in->was_chunked = false; /* its head is written */
    l4_exchange_at(loop, index)->flags &= ~(uint32_t)L4_X_EXPECTS;
    return let_whole_go(loop, index, (struct l4_text){NULL, 0});
}

/* ---- the engine ------------------------------------------------------------------------------ */

static struct l4_step carry_on(struct l4_loop *loop, uint32_t index, enum l4_icap_result result)
{
    struct l4_icap_talk *talk = &l4_inspect_at(loop, index)->talk;
    if (result == L4_ICAP_BUSY)
        l4_row_later(loop, index);
    if (result == L4_ICAP_WAITS || result == L4_ICAP_BUSY)
        return l4_stay();
    l4_icap_hang_up(loop, index, talk);
    l4_inspect_note_engine(loop, index);
    if (result == L4_ICAP_FAILS)
        return failed(loop, index);
    if (talk->reader.head.status == 204) {
        l4_inspect_note(loop, index, L4_INSPECT_CLEAN);
        return let_pass(loop, index);
    }
    const struct l4_text answer = l4_icap_answer_of(&talk->reader);
    return answer.at ? take_answer(loop, index, answer)
                     : take_request(loop, index, l4_icap_request_of(&talk->reader));
}

static struct l4_step ask(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_inspecting *in = l4_inspect_at(loop, index);
    in->phase = L4_INSPECT_ASKS;
    l4_icap_free(loop, &in->talk); /* of the request's inspection */
    if (!l4_inspect_write_heads(loop, index))
        return failed(loop, index);
    l4_row_set_deadline(loop, s, in->rule.timeout_ms);
    l4_row_wake_at_deadline(loop, index);
    return carry_on(loop, index, l4_icap_begin(loop, index, &in->talk, in->rule.max_body));
}

/* ---- the request's body ---------------------------------------------------------------------- */

static struct l4_step too_large(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_inspecting *in = l4_inspect_at(loop, index);
    l4_inspect_note(loop, index, L4_INSPECT_TOO_LARGE);
    if (!in->rule.large_goes_on)
        return refuse(loop, index, 413, L4_END_REJECTED_TOO_LARGE, "too_large_to_inspect");
    const struct l4_http_judged *judged = l4_serve_judged(loop, index);
    if (x->flags & L4_X_EXPECTS && in->body[L4_CLIENT].bytes &&
        !l4_inspect_renew(loop, index, (struct l4_text){NULL, 0}, !in->was_chunked,
                          judged->head.length))
        return refuse(loop, index, 502, L4_END_ERROR, "inspection_failed");
    return let_go(loop, index, x->up);
}

/* Looks what is there by now. */
static struct l4_step look(struct l4_loop *loop, uint32_t index)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    if (x->holds & L4_HOLDS_LOST)
        return failed(loop, index);
    if (x->holds & L4_HOLDS_LARGE)
        return too_large(loop, index);
    if (x->up.done)
        return ask(loop, index);
    return l4_stay();
}

static struct l4_step refuse_bytes(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    x->flags &= ~(uint32_t)L4_X_CLIENT_STAYS;
    return x->up.over ? refuse(loop, index, 413, L4_END_REJECTED_TOO_LARGE, "body_too_large")
                      : refuse(loop, index, 400, L4_END_REJECTED_BAD_REQUEST, "bad_chunks");
}

static struct l4_step collect_more(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_half *client = l4_serve_client(loop, index);
    struct l4_body_read read = {.most = l4_serve_room_for_extra(loop, index),
                                .take = l4_inspect_take,
                                .take_loop = loop,
                                .take_index = index};
    uint64_t moved;
    const enum l4_body_result result =
        l4_body_move(loop, client, &l4_inspect_at(loop, index)->sink, &x->up, &read, &moved);
    if (moved) {
        L4_OWN_ADD(s->bytes[L4_CLIENT], moved);
        L4_SET(s->active_ms, loop->now_ms);
        l4_shaping_spend(loop, index, moved);
    }
    switch (result) {
    case L4_BODY_LOST:
        return l4_end_by_error(s, -ENOMEM);
    case L4_BODY_ENDED:
        return l4_end(client->flags & L4_HALF_RESET ? L4_END_CLIENT_RESET : L4_END_CLIENT_FIN);
    case L4_BODY_BAD:
        return refuse_bytes(loop, index);
    default:
        l4_serve_move_later(loop, index, result, &x->up);
    }
    if (!l4_serve_keep_extra(loop, index, read.extra_at, read.extra))
        return l4_end_by_error(s, -ENOMEM);
    return look(loop, index);
}

/* Collects what the client has sent of the body, and may send. */
static struct l4_step collect(struct l4_loop *loop, uint32_t index)
{
    if (l4_shaping_holds(loop, index)) {
        l4_body_rate_begin(loop, index);
        return l4_stay();
    }
    const struct l4_step step = collect_more(loop, index);
    loop->pump.max = 0;
    return step;
}

/* Takes the begin of the body out of the block. What comes behind the body stays there. */
static struct l4_step take_begin(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    char *block = l4_http_block(loop->http, x->block);
    char *rest = loop->http->written + L4_HTTP_WRITTEN_HEAD; /* nothing is written meanwhile */
    const size_t have = x->have - x->head_bytes;
    struct l4_coded coded = {0};
    if (x->up.done || !have)
        return l4_stay();
    memcpy(rest, block + x->head_bytes, have);
    if (!l4_body_code(&x->up, rest, have, &coded))
        return refuse_bytes(loop, index);
    l4_inspect_take(loop, index, coded.data);
    memmove(block + x->head_bytes, block + x->head_bytes + coded.used, have - coded.used);
    x->have -= (uint32_t)coded.used;
    return l4_stay();
}

/* The client waits for a word before it sends its body. */
static struct l4_step invite(struct l4_loop *loop, uint32_t index)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_half *client = l4_serve_client(loop, index);
    struct l4_pump out = loop->pump;
    if (!(x->flags & L4_X_EXPECTS) || x->up.done || x->up.bytes || !x->minor)
        return l4_stay();
    memcpy(loop->http->written, text, sizeof text - 1);
    out.scratch = loop->http->written;
    return l4_io_of(client)->pass(&out, l4_serve_holder(loop, index), client, sizeof text - 1) ==
                   L4_PUMP_LOST
               ? l4_end_by_error(l4_session_at(loop, index), -ENOMEM)
               : l4_stay();
}

static void set_time_limit(struct l4_loop *loop, uint32_t index)
{
    const struct l4_inspecting *in = l4_inspect_at(loop, index);
    const uint64_t since = loop->now_ms - in->begun_ms;
    const uint64_t left = since < in->rule.body_ms ? in->rule.body_ms - since : 0;
    l4_row_wake_in(loop, index, l4_body_rate_wait_ms(loop, index, left));
}

static struct l4_step begin_request(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_inspecting *in = l4_inspect_at(loop, index);
    const struct l4_h1_head *head = &l4_serve_judged(loop, index)->head;
    in->was_chunked = head->framing == L4_FRAMING_CHUNKED;
    if (head->framing == L4_FRAMING_LENGTH && head->length > in->rule.max_body)
        return too_large(loop, index);
    struct l4_step step = take_begin(loop, index);
    if (step.kind == L4_STAY)
        step = look(loop, index);
    if (step.kind != L4_STAY || in->phase != L4_INSPECT_COLLECTS)
        return step;
    step = invite(loop, index);
    if (step.kind != L4_STAY)
        return step;
    l4_body_rate_begin(loop, index);
    set_time_limit(loop, index);
    return x->up.done ? l4_stay() : collect(loop, index);
}

/* ---- the stage ------------------------------------------------------------------------------- */

static struct l4_step enter(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    L4_ASSERT(s->http && x->holds & L4_HOLDS_ROW);
    const int error = l4_row_watch_client(loop, index);
    if (error)
        return l4_end_by_error(s, error);
    if (is_request(loop, index))
        return begin_request(loop, index);
    L4_ASSERT(x->holds & L4_HOLDS_ANSWER);
    x->holds &= (uint8_t)~L4_HOLDS_ANSWER;
    if (!x->up.done)
        x->flags &= ~(uint32_t)L4_X_BACKEND_STAYS;
    l4_pump_discard(&loop->pump, &s->half[L4_CLIENT]);
    l4_spare_give(loop, index);
    return ask(loop, index);
}

static struct l4_step go_on(struct l4_loop *loop, uint32_t index)
{
    struct l4_inspecting *in = l4_inspect_at(loop, index);
    if (in->phase == L4_INSPECT_SENDS)
        return send_on(loop, index);
    if (in->phase == L4_INSPECT_ASKS)
        return carry_on(loop, index, l4_icap_go(loop, index, &in->talk));
    l4_pump_flush(&loop->pump, l4_serve_holder(loop, index), l4_serve_client(loop, index));
    return collect(loop, index);
}

static struct l4_step event(struct l4_loop *loop, uint32_t index, enum l4_side side,
                            uint32_t events)
{
    struct l4_session *s = l4_session_at(loop, index);
    const bool asks = l4_inspect_at(loop, index)->phase == L4_INSPECT_ASKS;
    if (side != L4_CLIENT && (!asks || s->half[L4_BACKEND].fd < 0))
        return l4_stay(); /* a connection that is not used any more */
    if (side == L4_CLIENT && asks)
        return l4_client_is_gone(s, events) ? l4_end(L4_END_CLIENT_RESET) : l4_stay();
    l4_half_note(&s->half[side], events);
    return go_on(loop, index);
}

/* The client's body comes too slowly, or has taken too long. */
static struct l4_step collects_on(struct l4_loop *loop, uint32_t index)
{
    const struct l4_inspecting *in = l4_inspect_at(loop, index);
    l4_serve_client(loop, index)->flags |= L4_HALF_IN; /* why: it may not have been read for long */
    const struct l4_step step = collect(loop, index);
    if (step.kind != L4_STAY || in->phase != L4_INSPECT_COLLECTS ||
        l4_session_at(loop, index)->paced & L4_PACED_WAITS)
        return step;
    if (l4_body_rate_is_low(loop, index)) {
        l4_exchange_at(loop, index)->flags &= ~(uint32_t)L4_X_CLIENT_STAYS;
        return refuse(loop, index, 408, L4_END_REJECTED_BODY_RATE, "body_rate");
    }
    if (loop->now_ms - in->begun_ms >= in->rule.body_ms)
        return too_large(loop, index);
    set_time_limit(loop, index);
    return l4_stay();
}

static struct l4_step timeout(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_inspecting *in = l4_inspect_at(loop, index);
    if (in->phase == L4_INSPECT_COLLECTS)
        return collects_on(loop, index);
    if (in->phase == L4_INSPECT_SENDS) {
        const uint64_t allowed = L4_GET(l4_row_pool(loop, s)->idle_timeout_ms);
        const uint64_t idle = loop->now_ms - L4_GET(s->active_ms);
        if (idle >= allowed)
            return l4_end(L4_END_IDLE_TIMEOUT);
        l4_row_wake_in(loop, index, allowed - idle);
        return l4_stay();
    }
    if (l4_row_left_ms(loop, s) > 0) {
        l4_row_wake_at_deadline(loop, index);
        return l4_stay();
    }
    in->talk.fault = L4_ICAP_FAULT_LATE;
    return carry_on(loop, index, L4_ICAP_FAILS);
}

/* why only the engine's connection: what is held goes with the request. */
static void leave(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (l4_inspect_at(loop, index)->phase != L4_INSPECT_SENDS)
        l4_half_close(&loop->pump, &s->half[L4_BACKEND], L4_CLOSE);
}

const struct l4_stage l4_stage_inspect = {
    .enter = enter,
    .event = event,
    .timeout = timeout,
    .resume = go_on,
    .leave = leave,
};
