#include "shm/settings.h"

#include "shm/cache.h"
#include "shm/table.h"

static const struct l4_setting of_table[] = {
#define X(type, field, path) {#path, offsetof(struct l4_header, field), sizeof(type)},
    L4_TABLE_SETTINGS(X)
#undef X
};

/* Settings of a part of a row. */
#define IN_LISTENER(part, type, field, path)                                                       \
    {#path, offsetof(struct l4_listener, part.field), sizeof(type)},
#define IN_POOL(part, type, field, path)                                                           \
    {#path, offsetof(struct l4_pool, part.field), sizeof(type)},

/* why: the formatter takes lists without commas between them for one expression. */
/* clang-format off */
static const struct l4_setting of_listener[] = {
#define X(type, field, path) {#path, offsetof(struct l4_listener, field), sizeof(type)},
    L4_LISTENER_SETTINGS(X)
#undef X
#define X(type, field, path) IN_LISTENER(edge.access, type, field, path)
    L4_ACCESS_SETTINGS(X)
#undef X
#define X(type, field, path) IN_LISTENER(edge.limits, type, field, path)
    L4_LIMIT_SETTINGS(X, L4_LIMIT_CONNECTIONS, connections)
    L4_LIMIT_SETTINGS(X, L4_LIMIT_RATE, rate)
    L4_LIMIT_SETTINGS(X, L4_LIMIT_SOURCE_CONNECTIONS, connections_per_source)
    L4_LIMIT_SETTINGS(X, L4_LIMIT_SOURCE_RATE, rate_per_source)
    L4_LIMIT_SETTINGS(X, L4_LIMIT_SESSION_BANDWIDTH, bandwidth_per_session)
    L4_LIMIT_SETTINGS(X, L4_LIMIT_SOURCE_BANDWIDTH, bandwidth_per_source)
    L4_LIMITS_SETTINGS(X)
#undef X
#define X(type, field, path) IN_LISTENER(udp, type, field, path)
    L4_UDP_LISTENER_SETTINGS(X)
#undef X
#define X(type, field, path) IN_LISTENER(http, type, field, path)
    L4_HTTP_LISTENER_SETTINGS(X)
#undef X
#define X(type, field, path) IN_LISTENER(secure, type, field, path)
    L4_TLS_SETTINGS(X)
#undef X
#define X(type, field, path) IN_LISTENER(edge, type, field, path)
    L4_POLICY_SETTINGS(X)
#undef X
};

static const struct l4_setting of_pool[] = {
#define X(type, field, path) {#path, offsetof(struct l4_pool, field), sizeof(type)},
    L4_POOL_SETTINGS(X)
#undef X
#define X(type, field, path) IN_POOL(hash_rule, type, field, hash_##path)
    L4_KEY_SETTINGS(X)
#undef X
#define X(type, field, path) IN_POOL(udp, type, field, path)
    L4_UDP_POOL_SETTINGS(X)
#undef X
#define X(type, field, path) IN_POOL(http, type, field, path)
    L4_HTTP_POOL_SETTINGS(X)
#undef X
#define X(type, field, path) IN_POOL(passive, type, field, path)
    L4_PASSIVE_SETTINGS(X)
#undef X
#define X(type, field, path) IN_POOL(queue, type, field, path)
    L4_QUEUE_SETTINGS(X)
#undef X
#define X(type, field, path) IN_POOL(sticky.key, type, field, sticky.path)
    L4_KEY_SETTINGS(X)
#undef X
#define X(type, field, path) IN_POOL(sticky, type, field, path)
    L4_STICKY_SETTINGS(X)
#undef X
};
static const struct l4_setting of_cache[] = {
#define X(type, field, path) {#path, offsetof(struct l4_cache_rules, field), sizeof(type)},
    L4_CACHE_SETTINGS(X)
#undef X
};
/* clang-format on */

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

const struct l4_setting *l4_settings(enum l4_setting_kind kind, uint32_t *count)
{
    switch (kind) {
    case L4_OF_LISTENER:
        *count = COUNT(of_listener);
        return of_listener;
    case L4_OF_POOL:
        *count = COUNT(of_pool);
        return of_pool;
    case L4_OF_CACHE:
        *count = COUNT(of_cache);
        return of_cache;
    default:
        *count = COUNT(of_table);
        return of_table;
    }
}

void *l4_settings_row(const struct l4_table *table, enum l4_setting_kind kind, uint32_t index)
{
    switch (kind) {
    case L4_OF_LISTENER:
        return l4_table_listener(table, index);
    case L4_OF_POOL:
        return l4_table_pool(table, index);
    case L4_OF_CACHE:
        return l4_table_cache(table, index);
    default:
        return table->header;
    }
}

bool l4_setting_put(void *row, const struct l4_setting *setting, uint64_t value)
{
    void *field = (char *)row + setting->at;
    if (setting->bytes == sizeof(uint64_t)) {
        atomic_store((_Atomic uint64_t *)field, value);
        return true;
    }
    if (value > UINT32_MAX)
        return false;
    atomic_store((_Atomic uint32_t *)field, (uint32_t)value);
    return true;
}
