#include "http/inspect_pass.h"

#include <errno.h>

#include "base/assert.h"
#include "http/message.h"
#include "http/record.h"
#include "http/serve.h"
#include "io/stream_ops.h"

/* ---- what is held is passed on --------------------------------------------------------------- */

/* Begins to pass on what is held of a body. Until that is done the body is not. */
static void begin(struct l4_loop *loop, uint32_t index, enum l4_side from, struct l4_body *body)
{
    struct l4_inspecting *in = l4_inspect_at(loop, index);
    in->body[from].sent = 0;
    in->body[from].begun = false;
    *body = in->after[from];
    body->done = false;
    l4_exchange_at(loop, index)->holds |= from == L4_CLIENT ? L4_HOLDS_UP : L4_HOLDS_DOWN;
}

void l4_inspect_pass_request(struct l4_loop *loop, uint32_t index)
{
    begin(loop, index, L4_CLIENT, &l4_exchange_at(loop, index)->up);
}

struct l4_step l4_inspect_move(struct l4_loop *loop, uint32_t index, enum l4_side from)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_inspecting *in = l4_inspect_at(loop, index);
    const struct l4_body *after = &in->after[from];
    const struct l4_held *body = &in->body[from];
    const size_t before = body->sent;
    uint64_t moved;
    const enum l4_held_result result =
        l4_held_pass(loop, &in->body[from], &s->half[from], &s->half[!from],
                     after->goes == L4_FRAMING_CHUNKED, after->done, &moved);
    if (from == L4_BACKEND)
        l4_recording_down(loop, index, (struct l4_text){body->at + before, (size_t)moved});
    if (from == L4_CLIENT && moved && !after->done)
        x->flags |= L4_X_BODY_BEGUN; /* the rest of it is with the client only */
    if (moved)
        L4_SET(s->active_ms, loop->now_ms);
    switch (result) {
    case L4_HELD_LOST:
        return l4_end_by_error(s, -ENOMEM);
    case L4_HELD_MORE:
        l4_row_later(loop, index);
        return l4_stay();
    case L4_HELD_WAITS:
        return l4_stay();
    case L4_HELD_DONE:
        break;
    }
    *(from == L4_CLIENT ? &x->up : &x->down) = *after;
    x->holds &= (uint8_t) ~(from == L4_CLIENT ? L4_HOLDS_UP : L4_HOLDS_DOWN);
    if (!after->done)
        l4_row_later(loop, index); /* why: what comes behind may have been here for long */
    return l4_stay();
}

/* ---- an answer that is held back ------------------------------------------------------------- */

/* It cannot be inspected. The client gets another answer. */
static struct l4_step refuse(struct l4_loop *loop, uint32_t index, uint16_t status,
                             const char *fault)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    x->flags &= ~(uint32_t)L4_X_BACKEND_STAYS;
    x->fault = fault;
    x->holds &= (uint8_t)~L4_HOLDS_ANSWER;
    return l4_serve_refuse(loop, index, status, L4_END_BAD_ANSWER);
}

bool l4_inspect_wants_answer(struct l4_loop *loop, uint32_t index, const struct l4_h1_head *head)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const bool empty = head->framing == L4_FRAMING_NONE ||
                       (head->framing == L4_FRAMING_LENGTH && head->length == 0);
    if (!x->inspects[L4_BACKEND] || empty || head->tunnel ||
        !l4_inspect_begin(loop, index, L4_BACKEND))
        return false;
    const struct l4_router_inspection *rule = &l4_inspect_at(loop, index)->rule;
    if (head->framing != L4_FRAMING_LENGTH || head->length <= rule->max_body ||
        !rule->large_goes_on)
        return true;
    l4_inspect_note(loop, index, L4_INSPECT_TOO_LARGE);
    return false;
}

/* The client gets what is held now, and then what comes. */
static struct l4_step release(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_inspecting *in = l4_inspect_at(loop, index);
    struct l4_half *client = l4_serve_client(loop, index), *backend = l4_serve_backend(loop, index);
    const struct l4_h1_bounds bounds = {.head = L4_HTTP_ANSWER_HEAD_MAX,
                                        .fields = L4_H1_FIELDS_MAX};
    struct l4_h1_head head;
    if (l4_h1_answer(in->head.at, in->head.bytes, &bounds, (enum l4_method)x->method, &head))
        return l4_end(L4_END_BAD_ANSWER);
    const size_t bytes = l4_message_answer(loop, index, in->head.at, &head);
    struct l4_pump out = loop->pump;
    out.scratch = loop->http->written;
    if (!bytes)
        return l4_end(L4_END_BAD_ANSWER);
    in->after[L4_BACKEND] = x->down;
    begin(loop, index, L4_BACKEND, &x->down);
    x->holds &= (uint8_t)~L4_HOLDS_ANSWER;
    x->status = head.status;
    x->flags |= L4_X_ANSWERED;
    x->answered_us = (uint32_t)(loop->now_us - x->asked_us);
    l4_serve_drop_request(loop, index);
    l4_recording_answer(loop, index, (struct l4_text){loop->http->written, bytes});
    if (l4_io_of(client)->pass(&out, backend, client, bytes) == L4_PUMP_LOST)
        return l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
    return l4_inspect_move(loop, index, L4_BACKEND);
}

static struct l4_step too_large(struct l4_loop *loop, uint32_t index)
{
    l4_inspect_note(loop, index, L4_INSPECT_TOO_LARGE);
    return l4_inspect_at(loop, index)->rule.large_goes_on
               ? release(loop, index)
               : refuse(loop, index, 502, "too_large_to_inspect");
}

/* Looks what is there by now. */
static struct l4_step look(struct l4_loop *loop, uint32_t index)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    if (x->holds & L4_HOLDS_LOST)
        return refuse(loop, index, 503, "inspection_failed");
    if (x->holds & L4_HOLDS_LARGE)
        return too_large(loop, index);
    return x->down.done ? l4_go(L4_SESSION_INSPECT) : l4_stay();
}

struct l4_step l4_inspect_hold(struct l4_loop *loop, uint32_t index, const char *bytes,
                               const struct l4_h1_head *head, char *rest, size_t rest_bytes)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_inspecting *in = l4_inspect_at(loop, index);
    struct l4_coded body = {0};
    x->holds |= L4_HOLDS_ANSWER;
    if (head->framing == L4_FRAMING_LENGTH && head->length > in->rule.max_body)
        return too_large(loop, index);
    if (!l4_held_open(&in->head, L4_HTTP_ANSWER_HEAD_MAX) ||
        !l4_held_add(&in->head, &loop->http->inspections->bytes,
                     (struct l4_text){bytes, head->bytes}))
        return refuse(loop, index, 503, "inspection_failed");
    if (rest_bytes && !l4_body_code(&x->down, rest, rest_bytes, &body))
        return refuse(loop, index, 502, "bad_chunks");
    if (rest_bytes > body.used)
        x->flags &= ~(uint32_t)L4_X_BACKEND_STAYS;
    l4_inspect_take(loop, index, body.data);
    l4_row_wake_in(loop, index, 0); /* sets the time limits */
    const struct l4_step step = look(loop, index);
    if (step.kind == L4_STAY)
        l4_row_later(loop, index); /* why: more of it may have been here for long */
    return step;
}

struct l4_step l4_inspect_collect(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_inspecting *in = l4_inspect_at(loop, index);
    struct l4_half *backend = l4_serve_backend(loop, index);
    struct l4_body_read read = {.most = L4_HTTP_COPY_BYTES,
                                .take = l4_inspect_take,
                                .take_loop = loop,
                                .take_index = index};
    uint64_t moved;
    const enum l4_body_result result =
        l4_body_move(loop, backend, &in->sink, &x->down, &read, &moved);
    l4_serve_count_bytes(loop, index, L4_BACKEND, moved);
    if (read.extra)
        x->flags &= ~(uint32_t)L4_X_BACKEND_STAYS;
    switch (result) {
    case L4_BODY_LOST:
        return l4_end_by_error(l4_session_at(loop, index), -ENOMEM);
    case L4_BODY_BAD:
        return refuse(loop, index, 502, NULL);
    case L4_BODY_ENDED:
        x->flags &= ~(uint32_t)L4_X_BACKEND_STAYS;
        return l4_end(backend->flags & L4_HALF_RESET ? L4_END_BACKEND_RESET : L4_END_BACKEND_FIN);
    default:
        l4_serve_move_later(loop, index, result, &x->down);
    }
    return look(loop, index);
}

struct l4_step l4_inspect_timeout(struct l4_loop *loop, uint32_t index, uint64_t idle_ms)
{
    const struct l4_inspecting *in = l4_inspect_at(loop, index);
    const uint64_t idle = loop->now_ms - L4_GET(l4_session_at(loop, index)->active_ms);
    const uint64_t since = loop->now_ms - in->begun_ms, most = in->rule.body_ms;
    if (since >= most)
        return too_large(loop, index);
    if (idle >= idle_ms)
        return l4_end(L4_END_ANSWER_TIMEOUT);
    const uint64_t left = most - since;
    l4_row_wake_in(loop, index, idle_ms - idle < left ? idle_ms - idle : left);
    return l4_stay();
}
