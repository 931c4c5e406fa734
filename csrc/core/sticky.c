#include "core/sticky.h"

#include <string.h>

#include "core/hash_key.h"
#include "shm/count.h"

static const struct l4_sticky_rule *rule_of(const struct l4_table *table, uint32_t pool)
{
    return &l4_table_pool(table, pool)->sticky;
}

bool l4_sticky_is_on(const struct l4_table *table, uint32_t pool)
{
    return L4_GET(rule_of(table, pool)->ttl_ms) != 0;
}

/* Does the rule need a value of a request that the client has not? */
static bool is_unknown(const struct l4_table *table, uint32_t pool,
                       const struct l4_sticky_client *client)
{
    return !client->name_hash && l4_key_is_of_request(L4_GET(rule_of(table, pool)->key.kind));
}

/* Returns how many bytes of a name are kept for people. why few of some: a cookie or a header field
 * may be all that proves who its client is. */
static uint32_t kept_of(uint32_t kind, uint32_t bytes, uint32_t room)
{
    const uint32_t max =
        kind == L4_KEY_HEADER || kind == L4_KEY_COOKIE ? L4_STICKY_SECRET_SHOWN : room;
    return bytes < max ? bytes : max;
}

uint64_t l4_sticky_client_tag(const struct l4_table *table, uint32_t pool,
                              const struct l4_sticky_client *client, struct l4_sticky_key *key)
{
    const struct l4_key_rule *rule = &rule_of(table, pool)->key;
    *key = (struct l4_sticky_key){.pool = pool, .kind = L4_KEY_SOURCE_IP};
    const uint32_t kind = L4_GET(rule->kind);
    if ((kind == L4_KEY_SNI || l4_key_is_of_request(kind)) && client->name_hash) {
        const uint32_t kept = kept_of(kind, client->name_bytes, sizeof key->name);
        key->kind = (uint16_t)kind;
        key->name_bytes = (uint16_t)client->name_bytes;
        if (kept)
            memcpy(key->name, client->name, kept);
    } else {
        key->addr = l4_key_address(rule, client->addr);
    }
    const uint64_t hash =
        l4_key_hash(&table->header->hash_key, rule, client->addr, client->name_hash);
    return l4_sticky_tag(pool, hash);
}

void l4_sticky_client_touch(const struct l4_table *table, uint32_t pool,
                            const struct l4_sticky_client *client, uint32_t backend,
                            uint64_t now_ms)
{
    struct l4_sticky_key key;
    if (is_unknown(table, pool, client))
        return;
    l4_sticky_touch(table, l4_sticky_client_tag(table, pool, client, &key), backend, now_ms);
}

void l4_sticky_learn(const struct l4_table *table, uint32_t who, uint32_t pool,
                     const struct l4_sticky_client *client, uint32_t backend, uint64_t now_ms)
{
    struct l4_sticky_key key;
    const uint64_t tag = l4_sticky_client_tag(table, pool, client, &key);
    l4_sticky_put(table, who, tag, &key, backend, false, L4_GET(rule_of(table, pool)->ttl_ms),
                  now_ms);
}

/* Takes a place at the backend of a sticky client. *belongs: the backend may serve, even if it is
 * full. */
static bool take_own(const struct l4_table *table, const struct l4_pick_request *request,
                     uint32_t backend, bool *belongs)
{
    const bool in_drain = L4_GET(rule_of(table, request->pool)->in_drain);
    struct l4_pick_request look = *request;
    look.dry = true;
    *belongs = backend != L4_NONE && l4_pick_this(table, &look, backend, in_drain);
    if (!*belongs)
        return false;
    if (!request->dry)
        return l4_pick_this(table, request, backend, in_drain);
    const struct l4_backend *b = l4_table_backend(table, backend);
    const struct l4_pool *pool = l4_table_pool(table, request->pool);
    const uint32_t max = L4_GET(b->max_connections), all = L4_GET(pool->max_connections);
    return (!max || L4_GET(b->inflight) < max) && (!all || L4_GET(pool->inflight) < all);
}

struct l4_pick_answer l4_sticky_pick(const struct l4_table *table,
                                     const struct l4_pick_request *request,
                                     const struct l4_sticky_client *client, bool *sticky)
{
    struct l4_sticky_key key;
    if (sticky)
        *sticky = false;
    if (!l4_sticky_is_on(table, request->pool) || is_unknown(table, request->pool, client))
        return l4_pick(table, request);
    const uint64_t tag = l4_sticky_client_tag(table, request->pool, client, &key);
    const uint64_t ttl = L4_GET(rule_of(table, request->pool)->ttl_ms), now = request->now_ms;
    const uint32_t own = l4_sticky_find(table, tag, ttl, now);
    bool belongs, own_taken = take_own(table, request, own, &belongs);
    if (sticky)
        *sticky = own_taken;
    if (own_taken) {
        if (!request->dry)
            l4_sticky_touch(table, tag, own, now);
        return (struct l4_pick_answer){.backend = own};
    }
    const struct l4_pick_answer answer = l4_pick(table, request);
    if (request->dry || answer.backend == L4_NONE || belongs)
        return answer;
    const bool keep = own == L4_NONE;
    const uint32_t agreed =
        l4_sticky_put(table, request->worker, tag, &key, answer.backend, keep, ttl, now);
    if (agreed == answer.backend || !take_own(table, request, agreed, &belongs))
        return answer;
    /* Another worker was faster with this client, which goes where its other session went. */
    l4_count_drop_backend(table, request->worker, answer.backend);
    return (struct l4_pick_answer){.backend = agreed};
}
