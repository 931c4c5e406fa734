#include "http/cookie.h"

#include <stdio.h>
#include <string.h>

#include "core/pool_view.h"
#include "http/serve.h"

/* ---- reading --------------------------------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* Finds `name=` in one field's value (RFC 6265, 4.2.1). */
static struct l4_text find_in(const char *at, size_t bytes, struct l4_text name)
{
    const char *end = at + bytes;
    while (at < end) {
        const char *semicolon = memchr(at, ';', (size_t)(end - at));
        const char *stop = semicolon ? semicolon : end;
        while (at < stop && is_space(*at))
            at++;
        if ((size_t)(stop - at) > name.bytes && at[name.bytes] == '=' &&
            !memcmp(at, name.at, name.bytes)) {
            const char *value = at + name.bytes + 1;
            while (stop > value && is_space(stop[-1]))
                stop--;
            return (struct l4_text){value, (size_t)(stop - value)};
        }
        at = semicolon ? semicolon + 1 : end;
    }
    return (struct l4_text){0};
}

struct l4_text l4_cookie_find(const char *bytes, const struct l4_h1_head *head, struct l4_text name)
{
    if (head->first[L4_FIELD_COOKIE] == L4_H1_NO_FIELD)
        return (struct l4_text){0};
    for (uint32_t i = head->first[L4_FIELD_COOKIE]; i < head->field_count; i++) {
        const struct l4_h1_field *field = &head->fields[i];
        if (field->id != L4_FIELD_COOKIE)
            continue;
        const struct l4_text found = find_in(bytes + field->value.at, field->value.bytes, name);
        if (found.at)
            return found;
    }
    return (struct l4_text){0};
}

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
    const struct l4_http_judged *judged = l4_serve_judged(loop, index);
    const char *bytes = l4_http_block(loop->http, l4_exchange_at(loop, index)->block);
    const struct l4_text found = l4_cookie_find(bytes, &judged->head, name);
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
