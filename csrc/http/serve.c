#include "http/serve.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "core/true_client.h"
#include "http/caching.h"
#include "http/h2_tend.h"
#include "http/inspect.h"
#include "http/judge.h"
#include "io/stream_ops.h"
#include "io/tls.h"
#include "run/shaping.h"

void l4_serve_begin(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_session *s = l4_session_at(loop, index);
    L4_ASSERT(s->backend == L4_NONE && x->answer_block == L4_NONE);
    l4_caching_end(loop, index);
    l4_inspect_end(loop, index);
    *x = (struct l4_exchange){
        .number = x->number + 1,
        .block = x->block,
        .have = x->have,
        .answer_block = L4_NONE,
        .route = L4_NONE,
        .filter = L4_NONE,
        .came_to = L4_NONE,
        .left = L4_NONE,
    };
    s->http = x->have ? L4_HTTP_ASKS : L4_HTTP_RESTS;
    s->known &= (uint8_t)~L4_FACT_CLAIMED;
    s->attempts = 0;
    s->reason = L4_END_NONE;
    s->error = 0;
    s->connect_us = s->queue_us = 0;
    s->pool = L4_GET(l4_table_listener(loop->table, s->listener)->pool);
    loop->http->judged.session = L4_NONE;
}

static void give_block(struct l4_loop *loop, uint32_t *block)
{
    if (*block != L4_NONE)
        l4_http_give_block(loop->http, *block);
    *block = L4_NONE;
}

void l4_serve_free(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    l4_caching_end(loop, index);
    l4_inspect_end(loop, index);
    give_block(loop, &x->block);
    give_block(loop, &x->answer_block);
    x->have = x->answer_have = 0;
    if (loop->http->judged.session == index)
        loop->http->judged.session = L4_NONE;
}

ssize_t l4_serve_receive(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_half *client = l4_serve_client(loop, index);
    struct l4_pump in = loop->pump;
    in.scratch = l4_http_block(loop->http, x->block) + x->have;
    const ssize_t got = l4_io_of(client)->receive(&in, client, l4_serve_holder(loop, index),
                                                  L4_HTTP_BLOCK_BYTES - x->have);
    if (got > 0) {
        L4_OWN_ADD(s->bytes[L4_CLIENT], (uint64_t)got);
        L4_SET(s->active_ms, loop->now_ms);
        x->have += (uint32_t)got;
        return got;
    }
    if (got < 0 && errno == EBUSY)
        return 0;
    client->flags &= (uint16_t)~L4_HALF_IN;
    if (got < 0 && errno == EAGAIN)
        return 0;
    client->flags |= got ? L4_HALF_RESET : L4_HALF_EOF;
    return -1;
}

void l4_serve_move_later(struct l4_loop *loop, uint32_t index, enum l4_body_result result,
                         const struct l4_body *body)
{
    if (result == L4_BODY_MORE && !body->done)
        l4_row_later(loop, index);
    if (result == L4_BODY_NO_PIPE)
        l4_row_lacks(loop, &loop->pipeless, index);
}

void l4_serve_drop_request(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    const uint32_t used = x->head_bytes + x->body_bytes;
    if (x->block == L4_NONE)
        return;
    L4_ASSERT(used <= x->have);
    char *block = l4_http_block(loop->http, x->block);
    x->have -= used;
    memmove(block, block + used, x->have);
    x->head_bytes = x->body_bytes = x->scanned = 0;
    if (!x->have)
        give_block(loop, &x->block);
    if (loop->http->judged.session == index)
        loop->http->judged.session = L4_NONE;
}

size_t l4_serve_room_for_extra(struct l4_loop *loop, uint32_t index)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    if (x->block == L4_NONE)
        return L4_HTTP_BLOCK_BYTES;
    if (L4_HTTP_BLOCK_BYTES - x->have < L4_HTTP_EXTRA_MIN && x->body_bytes) {
        L4_ASSERT(!x->up.done && x->have == x->head_bytes + x->body_bytes);
        x->have = x->head_bytes;
        x->body_bytes = 0;
        x->flags |= L4_X_BODY_BEGUN;
    }
    return L4_HTTP_BLOCK_BYTES - x->have;
}

void l4_serve_note_kept(const struct l4_loop *loop, uint32_t index, uint32_t bytes, uint32_t extra)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    L4_ASSERT(x->have == x->head_bytes + x->body_bytes && extra <= bytes);
    L4_ASSERT(bytes <= L4_HTTP_BLOCK_BYTES - x->have);
    x->have += bytes;
    x->body_bytes += bytes - extra;
}

bool l4_serve_keep_extra(struct l4_loop *loop, uint32_t index, const char *at, size_t bytes)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    if (!bytes)
        return true;
    if (x->block == L4_NONE) {
        x->block = l4_http_take_block(loop->http);
        x->have = x->head_bytes = x->body_bytes = 0;
    }
    if (x->block == L4_NONE || bytes > L4_HTTP_BLOCK_BYTES - x->have)
        return false;
    memcpy(l4_http_block(loop->http, x->block) + x->have, at, bytes);
    x->have += (uint32_t)bytes;
    return true;
}

bool l4_serve_pass_rest(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_half *client = l4_serve_client(loop, index), *backend = l4_serve_backend(loop, index);
    const uint32_t used = x->head_bytes + x->body_bytes;
    struct l4_pump out = loop->pump;
    out.scratch = l4_http_block(loop->http, x->block) + used;
    return x->have <= used ||
           l4_io_of(backend)->pass(&out, client, backend, x->have - used) != L4_PUMP_LOST;
}

struct l4_step l4_serve_relay(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_half *backend = l4_serve_backend(loop, index);
    l4_serve_free(loop, index);
    l4_loop_unwatch(loop, backend->fd);
    backend->flags &= (uint16_t)~L4_HALF_WATCHED;
    const int error = l4_row_watch(loop, index);
    return error ? l4_end_by_error(s, error) : l4_go(L4_SESSION_RELAY);
}

struct l4_step l4_serve_refuse(struct l4_loop *loop, uint32_t index, uint16_t status,
                               enum l4_reason reason)
{
    struct l4_exchange *x = l4_exchange_at(loop, index);
    L4_ASSERT(!(x->flags & L4_X_ANSWERED) && reason != L4_END_NONE);
    x->status = status;
    if (x->holds & L4_HOLDS_UP) { /* all that the client has sent of its body was read */
        x->up = l4_inspect_at(loop, index)->after[L4_CLIENT];
        x->holds &= (uint8_t)~L4_HOLDS_UP;
    }
    /* The begin of a head that a backend sent is of no more use. */
    give_block(loop, &x->answer_block);
    x->answer_have = x->answer_scanned = 0;
    return l4_go_to_end(L4_SESSION_REPLY, reason);
}

/* Returns the status for an end that a client is told of; 0: the client is not told. */
static uint16_t status_of(enum l4_reason reason)
{
    switch (reason) {
    case L4_END_CONNECT_FAILED:
    case L4_END_BACKEND_RESET:
    case L4_END_BACKEND_FIN:
    case L4_END_BAD_ANSWER:
        return 502;
    case L4_END_NO_BACKEND:
    case L4_END_QUEUE_FULL:
    case L4_END_QUEUE_TIMEOUT:
    case L4_END_BACKEND_DOWN:
    case L4_END_ERROR:
        return 503;
    case L4_END_ANSWER_TIMEOUT:
        return 504;
    default:
        return 0;
    }
}

struct l4_step l4_serve_instead(struct l4_loop *loop, uint32_t index, struct l4_step end)
{
    const struct l4_session *s = l4_session_at(loop, index);
    struct l4_exchange *x = l4_exchange_at(loop, index);
    const uint32_t state = L4_GET(s->state);
    const uint16_t status = status_of((enum l4_reason)end.reason);
    const char *fault = end.reason == L4_END_CLIENT_RESET ? l4_h2_fault(loop, index) : NULL;
    L4_ASSERT(end.kind == L4_END);
    if (fault) {
        x->fault = fault;
        return l4_end(L4_END_REJECTED_BAD_REQUEST);
    }
    if (!status || !x->head_bytes || x->flags & L4_X_ANSWERED || state == L4_SESSION_REPLY ||
        state == L4_SESSION_REQUEST || s->half[L4_CLIENT].flags & L4_HALF_BROKEN)
        return end;
    if (l4_caching_may_send_stale(loop, index))
        return l4_caching_send(loop, index, L4_CACHE_STALE);
    return l4_serve_refuse(loop, index, status, (enum l4_reason)end.reason);
}

const struct l4_http_judged *l4_serve_judged(struct l4_loop *loop, uint32_t index)
{
    const struct l4_http_judged *judged = &loop->http->judged;
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    L4_ASSERT(x->head_bytes && x->block != L4_NONE);
    if (judged->session != index || judged->number != x->number)
        l4_judge_again(loop, index);
    return judged;
}

bool l4_serve_client_stays(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_session *s = l4_session_at(loop, index);
    const uint32_t max = L4_GET(l4_serve_rules(loop, s)->max_requests);
    return x->flags & L4_X_CLIENT_STAYS && !s->stream &&
           (!loop->draining || l4_row_moves_soon(loop, s)) && (!max || x->number < max);
}

bool l4_serve_is_misdirected(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_half *half = &l4_session_at(loop, index)->half[L4_CLIENT];
    const struct l4_host *host = &loop->http->judged.host;
    if (!(half->flags & L4_HALF_TLS) || !host->bytes)
        return false;
    return l4_tls_is_elsewhere(&loop->pump, l4_h2_socket(&loop->pump, half), host->name);
}

void l4_serve_end_answer(struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (s->stream)
        (void)l4_io_of(&s->half[L4_CLIENT])
            ->finish(&loop->pump, &s->half[L4_BACKEND], &s->half[L4_CLIENT]);
}

bool l4_serve_trusts(const struct l4_loop *loop, const struct l4_session *s)
{
    return l4_true_client_trusts(loop->table, l4_serve_rules(loop, s), &s->client);
}

void l4_serve_count_bytes(const struct l4_loop *loop, uint32_t index, enum l4_side from,
                          uint64_t bytes)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (!bytes)
        return;
    L4_OWN_ADD(s->bytes[from], bytes);
    l4_shaping_spend(loop, index, bytes);
    if (from == L4_CLIENT)
        L4_OWN_ADD(l4_row_column(loop, s)->bytes_in, bytes);
    else
        L4_OWN_ADD(l4_row_column(loop, s)->bytes_out, bytes);
    L4_SET(s->active_ms, loop->now_ms);
}

uint32_t l4_serve_prefers(const struct l4_loop *loop, const struct l4_session *s)
{
    return l4_exchange_at(loop, (uint32_t)(s - loop->sessions))->came_to;
}
