#include "run/attempt.h"

#include <errno.h>

#include "base/assert.h"
#include "base/random.h"
#include "core/hash_key.h"
#include "core/passive.h"
#include "core/sticky.h"
#include "http/outward.h"
#include "http/request_name.h"
#include "http/retry.h"
#include "http/serve.h"
#include "http/user_limits.h"
#include "run/first_byte.h"
#include "run/lines.h"
#include "run/pick_trace.h"

/* ---- the pick -------------------------------------------------------------------------------- */

/* The name that a rule needs: the server name that the client asked for, or a value of its
 * request. */
static struct l4_name name_of(struct l4_loop *loop, const struct l4_session *s,
                              const struct l4_key_rule *rule, enum l4_texts_key key)
{
    const uint32_t index = (uint32_t)(s - loop->sessions), kind = L4_GET(rule->kind);
    const struct l4_facts *facts = l4_row_facts(loop, index);
    if (l4_key_is_of_request(kind))
        return s->http ? l4_request_name(loop, index, kind, key) : (struct l4_name){0};
    const bool named = s->known & L4_FACT_NAME;
    return (struct l4_name){
        .hash = s->name_hash,
        .text = {named ? facts->name : NULL, named ? facts->name_bytes : 0},
    };
}

struct l4_pick_answer l4_attempt_pick(struct l4_loop *loop, struct l4_session *s, uint32_t tried)
{
    const struct l4_pool *pool = l4_row_pool(loop, s);
    const struct l4_name hashed = name_of(loop, s, &pool->hash_rule, L4_TEXTS_KEY_HASH),
                         known = name_of(loop, s, &pool->sticky.key, L4_TEXTS_KEY_STICKY);
    const struct l4_pick_request request = {
        .worker = loop->setup.index,
        .pool = s->pool,
        .now_ms = loop->now_ms,
        .hash = l4_key_hash(&loop->table->header->hash_key, &pool->hash_rule,
                            l4_row_client(loop, s), hashed.hash),
        .random = l4_random(&loop->random),
        .tried = s->tried,
        .tried_count = tried,
    };
    const struct l4_sticky_client client = {
        .addr = l4_row_client(loop, s),
        .name_hash = known.hash,
        .name = known.text.at,
        .name_bytes = (uint32_t)known.text.bytes,
    };
    bool sticky;
    L4_ASSERT(s->backend == L4_NONE && tried <= s->attempts);
    const uint32_t own = s->http ? l4_serve_prefers(loop, s) : L4_NONE;
    if (own != L4_NONE && l4_pick_this(loop->table, &request, own, L4_GET(pool->sticky.in_drain))) {
        const struct l4_pick_answer named = {.backend = own};
        l4_pick_trace(loop, s, &request, &named, L4_PICK_STICKY);
        s->backend = own;
        return named;
    }
    const struct l4_pick_answer answer = l4_sticky_pick(loop->table, &request, &client, &sticky);
    l4_pick_trace(loop, s, &request, &answer, sticky ? L4_PICK_STICKY : L4_PICK_BALANCED);
    s->backend = answer.backend;
    return answer;
}

uint64_t l4_attempt_refresh(const struct l4_loop *loop, const struct l4_session *s, uint64_t max)
{
    const uint64_t half = L4_GET(l4_row_pool(loop, s)->sticky.ttl_ms) / 2;
    if (half == 0)
        return max;
    const bool asks =
        s->http && l4_key_is_of_request(L4_GET(l4_row_pool(loop, s)->sticky.key.kind));
    const struct l4_sticky_client client = {
        .addr = l4_row_client(loop, s),
        .name_hash =
            asks ? l4_exchange_at(loop, (uint32_t)(s - loop->sessions))->sticky_hash : s->name_hash,
    };
    l4_sticky_client_touch(loop->table, s->pool, &client, s->backend, loop->now_ms);
    return half < max ? half : max;
}

/* ---- its end --------------------------------------------------------------------------------- */

struct l4_step l4_attempt_failed(struct l4_loop *loop, uint32_t index, int error)
{
    struct l4_session *s = l4_session_at(loop, index);
    L4_ASSERT(s->backend != L4_NONE && error < 0);
    L4_OWN_ADD(l4_row_column(loop, s)->connect_errors, 1);
    l4_passive_unreached(loop->table, loop->setup.index, s->backend, loop->now_ms, error);
    s->error = -error;
    l4_first_byte_failed(loop, s);
    if (l4_outward_is_on(loop, s)) {
        s->attempts++;
        l4_attempt_leave(loop, s);
        return l4_outward_failed(loop, index, error) ? l4_go(L4_SESSION_FORWARD)
                                                     : l4_end(L4_END_CONNECT_FAILED);
    }
    L4_ASSERT(s->attempts < sizeof s->tried / sizeof *s->tried);
    s->tried[s->attempts++] = (uint16_t)s->backend;
    l4_attempt_leave(loop, s);
    const uint32_t retries = L4_GET(l4_row_pool(loop, s)->retries);
    const bool again = s->attempts <= retries && s->attempts <= L4_RETRIES_MAX &&
                       (!s->http || l4_retry_connects(loop, index));
    return again ? l4_go(L4_SESSION_PICK) : l4_end(L4_END_CONNECT_FAILED);
}

struct l4_step l4_attempt_timeout(struct l4_loop *loop, uint32_t index)
{
    if (l4_row_left_ms(loop, l4_session_at(loop, index)) <= 0)
        return l4_attempt_failed(loop, index, -ETIMEDOUT);
    l4_row_wake_at_deadline(loop, index);
    return l4_stay();
}

struct l4_step l4_attempt_succeeded(struct l4_loop *loop, struct l4_session *s)
{
    L4_ASSERT(s->backend != L4_NONE && s->half[L4_BACKEND].fd >= 0);
    s->connect_us = (uint32_t)(loop->now_us - s->connect_started_us);
    L4_OWN_ADD(l4_row_column(loop, s)->total, 1);
    l4_passive_reached(loop->table, s->backend);
    l4_first_byte_connected(loop, s);
    return l4_go(s->http ? L4_SESSION_EXCHANGE : L4_SESSION_RELAY);
}

/* Notes for the log of requests which backend this was: the request may still be answered by l4lb
 * itself. why the serial: the row may be another backend's until then. */
static void note_left(const struct l4_loop *loop, const struct l4_session *s)
{
    if (!s->http)
        return;
    struct l4_exchange *x = l4_exchange_at(loop, (uint32_t)(s - loop->sessions));
    x->left = s->backend;
    x->left_serial = L4_GET(l4_table_backend(loop->table, s->backend)->used);
}

void l4_attempt_leave(struct l4_loop *loop, struct l4_session *s)
{
    l4_half_close(&loop->pump, &s->half[L4_BACKEND], L4_CLOSE);
    if (s->backend == L4_NONE)
        return;
    l4_attempt_refresh(loop, s, 0);
    l4_first_byte_end(loop, s);
    l4_user_drop(loop, s);
    l4_count_drop_backend(loop->table, loop->setup.index, s->backend);
    note_left(loop, s);
    l4_lines_released(loop, s->pool);
    s->backend = L4_NONE;
}

void l4_attempt_part(struct l4_loop *loop, struct l4_session *s)
{
    l4_half_close(&loop->pump, &s->half[L4_BACKEND], L4_CLOSE);
    if (s->backend == L4_NONE)
        return;
    l4_first_byte_end(loop, s);
    l4_count_part_backend(loop->table, loop->setup.index, s->backend);
    s->backend = L4_NONE;
}
