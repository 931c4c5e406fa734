#include "http/cookie.h"

#include <stdio.h>
#include <string.h>

#include "core/pool_view.h"
#include "core/request_values.h"
#include "http/routing.h"

/* ---- the value ------------------------------------------------------------------------------- */

static uint64_t value_of(const struct l4_table *table, uint32_t pool, uint32_t backend)
{
    const struct l4_hash_key *key = &table->header->hash_key;
    const char *pool_name = l4_table_pool(table, pool)->name;
    const char *name = l4_table_backend(table, backend)->name;
    const uint64_t hash = l4_hash(key, pool_name, strnlen(pool_name, L4_NAME_MAX));
    return l4_hash_again(l4_hash(key, name, strnlen(name, L4_NAME_MAX)), (uint32_t)hash);
}

/* Reads 16 hexadecimal digits. */
static bool read_value(struct l4_text text, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < text.bytes; i++) {
        const char c = text.at[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        *value = *value << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return text.bytes == L4_COOKIE_VALUE_BYTES;
}

/* Returns the member of the pool with this value. */
static uint32_t member_with(const struct l4_table *table, uint32_t pool, uint64_t value)
{
    const uint32_t generation = L4_GET(l4_table_pool(table, pool)->view_generation);
    struct l4_view *view = l4_table_view(table, pool, generation);
    const uint16_t *members = l4_view_members(view);
    for (uint32_t i = 0; i < view->members && i < table->plan.caps.backends; i++) {
        if (members[i] < table->plan.caps.backends && value_of(table, pool, members[i]) == value)
            return members[i];
    }
    return L4_NONE;
}

uint32_t l4_cookie_backend(struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_texts texts = l4_texts_begin(loop->table);
    const struct l4_text name = l4_texts_cookie(&texts, s->pool).name;
    uint64_t value;
    if (!name.bytes)
        return L4_NONE;
    struct l4_routing_fields fields;
    const struct l4_router_request request = l4_routing_request(loop, index, &fields);
    const struct l4_text found = l4_request_key(&request, L4_KEY_COOKIE, name);
    if (!found.at || !l4_texts_hold(loop->table, &texts) || !read_value(found, &value))
        return L4_NONE;
    return member_with(loop->table, s->pool, value);
}

size_t l4_cookie_write(const struct l4_loop *loop, uint32_t index, const struct l4_texts *texts,
                       char *to, size_t room)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_texts_cookie cookie = l4_texts_cookie(texts, s->pool);
    if (!cookie.name.bytes || s->backend == L4_NONE ||
        l4_exchange_at(loop, index)->came_to == s->backend)
        return 0;
    const int bytes = snprintf(to, room, "%.*s=%016llx%.*s", (int)cookie.name.bytes, cookie.name.at,
                               (unsigned long long)value_of(loop->table, s->pool, s->backend),
                               (int)cookie.attributes.bytes, cookie.attributes.at);
    return bytes > 0 && (size_t)bytes < room ? (size_t)bytes : 0;
}
