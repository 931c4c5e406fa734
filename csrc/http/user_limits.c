#include "http/user_limits.h"

#include <string.h>

#include "http/outward.h"
#include "http/serve.h"
#include "run/shaping.h"
#include "shm/source_limits.h"

/* Hashes forward proxy and user: a user of two proxies is two. */
static uint64_t hash_of(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_outward *o = l4_outward_at(loop, index);
    const struct l4_hash_key *secret = &loop->table->header->hash_key;
    const char *pool = l4_row_pool(loop, l4_session_at(loop, index))->name;
    const uint64_t hash = l4_hash_again(l4_hash(secret, o->user, o->user_bytes),
                                        l4_hash(secret, pool, strnlen(pool, L4_NAME_MAX)));
    return hash ? hash : 1;
}

/* Counts the session's connection as one of its user's. */
static enum l4_source_answer take(struct l4_loop *loop, uint32_t index, uint32_t limit)
{
    struct l4_session *s = l4_session_at(loop, index);
    struct l4_outward *o = l4_outward_at(loop, index);
    const enum l4_source_answer answer = l4_source_take(
        loop->table, loop->setup.index, o->user_hash, limit, loop->now_us * 1000, &o->user_entry);
    if (answer != L4_SOURCE_TAKEN)
        return answer;
    s->holds |= L4_HOLDS_USER;
    if (L4_GET(l4_serve_pool_rules(loop, index)->user_bandwidth))
        l4_shaping_add_bytes(loop, index);
    return answer;
}

bool l4_user_take(struct l4_loop *loop, uint32_t index)
{
    const struct l4_http_pool *rules = l4_serve_pool_rules(loop, index);
    const uint32_t limit = L4_GET(rules->user_connections);
    struct l4_outward *o = l4_outward_at(loop, index);
    if (!o->user_bytes || l4_session_at(loop, index)->holds & L4_HOLDS_USER ||
        (!limit && !L4_GET(rules->user_bandwidth)))
        return true;
    o->user_hash = hash_of(loop, index);
    const enum l4_source_answer answer = take(loop, index, limit);
    if (answer == L4_SOURCE_NO_ROOM) /* as with a source: run/admission.c */
        L4_OWN_ADD(loop->row->uncounted, 1);
    return answer != L4_SOURCE_FULL;
}

void l4_user_drop(const struct l4_loop *loop, struct l4_session *s)
{
    if (!(s->holds & L4_HOLDS_USER))
        return;
    l4_source_drop(loop->table, loop->setup.index,
                   l4_outward_at(loop, (uint32_t)(s - loop->sessions))->user_entry);
    s->holds &= (uint8_t)~L4_HOLDS_USER;
}

void l4_user_again(struct l4_loop *loop, uint32_t index, uint64_t hash)
{
    const struct l4_http_pool *rules = l4_serve_pool_rules(loop, index);
    if (!hash || !(L4_GET(rules->user_connections) || L4_GET(rules->user_bandwidth)))
        return;
    l4_outward_at(loop, index)->user_hash = hash;
    (void)take(loop, index, 0);
}

uint64_t l4_user_hash(const struct l4_loop *loop, const struct l4_session *s)
{
    return s->holds & L4_HOLDS_USER ? l4_outward_at(loop, (uint32_t)(s - loop->sessions))->user_hash
                                    : 0;
}

uint64_t l4_user_bandwidth(const struct l4_loop *loop, uint32_t index, _Atomic uint64_t **spent_ns)
{
    if (!(l4_session_at(loop, index)->holds & L4_HOLDS_USER))
        return 0;
    *spent_ns = l4_source_spent_ns(loop->table, l4_outward_at(loop, index)->user_entry);
    return L4_GET(l4_serve_pool_rules(loop, index)->user_bandwidth);
}
