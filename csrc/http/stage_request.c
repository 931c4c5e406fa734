/* REQUEST: the head of a client's request is awaited, read and judged.
 *
 * A client at rest owns no block. From the first byte on the whole head must come within the
 * listener's head_timeout.
 */
#include <string.h>

#include "base/assert.h"
#include "http/account.h"
#include "http/h2_tend.h"
#include "http/judge.h"
#include "http/routing.h"
#include "http/serve.h"
#include "http/socks.h"
#include "http/stages.h"
#include "http/true_client.h"
#include "io/sock.h"
#include "run/admission.h"
#include "run/client_wait.h"

static void set_time_limit(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const struct l4_http_listener *rules = l4_serve_rules(loop, s);
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const bool rests = !x->started_us && x->number > 1;
    l4_row_set_deadline(loop, s,
                        rests ? L4_GET(rules->rest_timeout_ms) : L4_GET(rules->head_timeout_ms));
    l4_row_wake_at_deadline(loop, index);
}

/* The client has ended or failed. A client that had begun a request has broken it off. */
static struct l4_step client_ended(const struct l4_loop *loop, uint32_t index)
{
    const bool broken = l4_session_at(loop, index)->half[L4_CLIENT].flags & L4_HALF_RESET;
    return l4_end(broken || l4_exchange_at(loop, index)->have ? L4_END_CLIENT_RESET
                                                              : L4_END_CLIENT_FIN);
}

static struct l4_step refuse(struct l4_loop *loop, uint32_t index,
                             struct l4_verdict_of_head verdict)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    x->flags &= ~(uint32_t)L4_X_CLIENT_STAYS;
    x->fault = verdict.word;
    return l4_serve_refuse(loop, index, verdict.status, (enum l4_reason)verdict.reason);
}

/* The client is to ask again, with TLS. why two statuses: 301 is known to every client, and may
 * change the method to GET; 308 does not. */
static struct l4_step send_to_https(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    const bool plain = x->method == L4_METHOD_GET || x->method == L4_METHOD_HEAD;
    if (!loop->http->judged.host.bytes)
        return refuse(loop, index,
                      (struct l4_verdict_of_head){
                          .status = 400, .reason = L4_END_REJECTED_BAD_REQUEST, .word = "no_host"});
    x->reply = L4_REPLY_HTTPS;
    x->status = plain ? 301 : 308;
    return l4_go(L4_SESSION_REPLY);
}

/* The head is whole. */
static struct l4_step take_request(struct l4_loop *loop, uint32_t index, uint32_t bytes)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    if (l4_h2_is_begun(loop, index, bytes))
        return l4_go(L4_SESSION_HTTP2);
    x->head_bytes = bytes;
    x->asked_us = loop->now_us;
    l4_account_begin(loop, index);
    const struct l4_verdict_of_head verdict = l4_judge_request(loop, index);
    if (verdict.status)
        return refuse(loop, index, verdict);
    l4_true_client_find(loop, index);
    l4_account_judged(loop, index);
    const enum l4_reason denied = l4_admission_request(loop, index);
    if (denied != L4_END_NONE)
        return l4_serve_refuse(loop, index, 403, denied);
    if (l4_serve_is_misdirected(loop, index))
        return refuse(loop, index,
                      (struct l4_verdict_of_head){.status = 421,
                                                  .reason = L4_END_REJECTED_BAD_REQUEST,
                                                  .word = "misdirected"});
    const struct l4_session *s = l4_session_at(loop, index);
    if (L4_GET(l4_serve_rules(loop, s)->https_redirect) &&
        !(s->half[L4_CLIENT].flags & L4_HALF_TLS))
        return send_to_https(loop, index);
    return l4_routing_choose(loop, index);
}

static struct l4_step refuse_head(struct l4_loop *loop, uint32_t index, enum l4_h1_fault fault)
{
    l4_exchange_at(loop, index)->asked_us = loop->now_us;
    l4_account_begin(loop, index);
    const bool large = fault == L4_H1_HEAD_TOO_LARGE || fault == L4_H1_TARGET_TOO_LONG ||
                       fault == L4_H1_TOO_MANY_FIELDS;
    return refuse(loop, index,
                  (struct l4_verdict_of_head){
                      .status = (uint16_t)l4_h1_fault_status(fault),
                      .reason = large ? L4_END_REJECTED_TOO_LARGE : L4_END_REJECTED_BAD_REQUEST,
                      .word = l4_h1_fault_word(fault),
                  });
}

/* Looks for the end of the head in what is in the block. Answers L4_STAY with *more set if more
 * bytes are needed. */
static struct l4_step look_at_head(struct l4_loop *loop, uint32_t index, bool *more)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    const char *block = l4_http_block(loop->http, x->block);
    const uint32_t max = L4_GET(l4_serve_rules(loop, l4_session_at(loop, index))->max_head);
    size_t scanned = x->scanned;
    const long end = l4_h1_end(block, x->have, &scanned);
    x->scanned = (uint32_t)scanned;
    *more = false;
    if (end < 0)
        return refuse_head(loop, index, (enum l4_h1_fault) - end);
    if (end > 0 && end <= max)
        return take_request(loop, index, (uint32_t)end);
    if (x->have >= max || x->have == L4_HTTP_BLOCK_BYTES)
        return refuse_head(loop, index, l4_h1_too_large(block, x->have));
    *more = true;
    return l4_stay();
}

static void note_begin(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    if (x->started_us)
        return;
    x->started_us = loop->now_us;
    l4_session_at(loop, index)->http = L4_HTTP_ASKS;
    set_time_limit(loop, index);
}

/* Reads what the client has sent, until the head is whole. */
static struct l4_step read_head(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_half *client = &l4_session_at(loop, index)->half[L4_CLIENT];
    bool more = true;
    if (x->have > x->scanned) {
        note_begin(loop, index);
        const struct l4_step step = look_at_head(loop, index, &more);
        if (!more)
            return step;
    }
    while (client->flags & L4_HALF_IN) {
        if (x->block == L4_NONE)
            x->block = l4_http_take_block(loop->http);
        if (x->block == L4_NONE) {
            l4_row_lacks(loop, &loop->blockless, index);
            return l4_stay();
        }
        const ssize_t got = l4_serve_receive(loop, index);
        if (got > 0) {
            note_begin(loop, index);
            const struct l4_step step = look_at_head(loop, index, &more);
            if (!more)
                return step;
            continue;
        }
        if (!x->have)
            l4_serve_drop_request(loop, index);
        if (got < 0)
            return client_ended(loop, index);
        break;
    }
    return l4_stay();
}

static struct l4_step enter(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    const bool first = !s->http;
    if (first) {
        s->http = L4_HTTP_RESTS;
        *l4_exchange_at(loop, index) =
            (struct l4_exchange){.block = L4_NONE,
                                 .answer_block = L4_NONE,
                                 .number = l4_h2_requests_before(loop, index)};
    }
    L4_ASSERT(s->half[L4_BACKEND].fd < 0 && s->half[L4_BACKEND].pipe == L4_NO_PIPE);
    s->half[L4_BACKEND].flags = 0; /* what became of the exchange before says nothing any more */
    l4_serve_begin(loop, index);
    if (l4_socks_is_spoken(loop, s))
        return l4_go(L4_SESSION_SOCKS);
    if (first && l4_h2_is_agreed(loop, index))
        return l4_go(L4_SESSION_HTTP2);
    if (loop->draining && !first && !l4_exchange_at(loop, index)->have &&
        !l4_sock_has_data(s->half[L4_CLIENT].fd)) {
        if (!l4_row_moves_soon(loop, s))
            return l4_end(L4_END_BACKEND_FIN);
        loop->comes_to_rest = true;
    }
    const int error = l4_row_watch_client(loop, index);
    if (error)
        return l4_end_by_error(s, error);
    set_time_limit(loop, index);
    if (first) { /* most clients have sent their request by now */
        s->half[L4_CLIENT].flags |= L4_HALF_IN;
        return read_head(loop, index);
    }
    /* why not at once: a client that sends many requests together must not hold up others. */
    if (l4_exchange_at(loop, index)->have || s->half[L4_CLIENT].flags & L4_HALF_IN)
        l4_row_later(loop, index);
    return l4_stay();
}

static struct l4_step event(struct l4_loop *loop, uint32_t index, enum l4_side side,
                            uint32_t events)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (side != L4_CLIENT) /* the connection of the exchange before, which is spare or closed */
        return l4_stay();
    l4_half_note(&s->half[L4_CLIENT], events);
    if (s->half[L4_CLIENT].flags & L4_HALF_BROKEN)
        return l4_end(L4_END_CLIENT_RESET);
    return read_head(loop, index);
}

static struct l4_step timeout(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    if (l4_row_left_ms(loop, l4_session_at(loop, index)) > 0) {
        l4_row_wake_at_deadline(loop, index);
        return l4_stay();
    }
    if (!x->have)
        return l4_end(x->number > 1 ? L4_END_IDLE_TIMEOUT : L4_END_REJECTED_HEAD_TIMEOUT);
    x->asked_us = loop->now_us;
    l4_account_begin(loop, index);
    return refuse(loop, index,
                  (struct l4_verdict_of_head){
                      .status = 408,
                      .reason = L4_END_REJECTED_HEAD_TIMEOUT,
                      .word = "head_timeout",
                  });
}

/* A client at rest has come from another worker, or was not taken there. */
static struct l4_step again(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (!s->http) {
        *l4_exchange_at(loop, index) =
            (struct l4_exchange){.block = L4_NONE, .answer_block = L4_NONE, .number = 1};
        l4_serve_begin(loop, index);
    }
    set_time_limit(loop, index);
    return l4_stay();
}

const struct l4_stage l4_stage_request = {
    .enter = enter,
    .event = event,
    .timeout = timeout,
    .resume = read_head,
    .again = again,
};
