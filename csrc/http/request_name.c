#include "http/request_name.h"

#include "core/hash_key.h"
#include "core/request_values.h"
#include "core/sticky.h"
#include "http/routing.h"

/* Hashes a value that is not empty. */
static struct l4_name named(const struct l4_loop *loop, struct l4_text text)
{
    const uint64_t hash = l4_hash(&loop->table->header->hash_key, text.at, text.bytes);
    return (struct l4_name){.hash = hash ? hash : 1, .text = text};
}

struct l4_name l4_request_name(struct l4_loop *loop, uint32_t index, uint32_t kind,
                               enum l4_texts_key key)
{
    struct l4_routing_fields fields;
    const struct l4_router_request request = l4_routing_request(loop, index, &fields);
    struct l4_texts texts;
    struct l4_text text;
    do {
        texts = l4_texts_begin(loop->table);
        text = l4_request_key(&request, kind,
                              l4_texts_key(&texts, l4_session_at(loop, index)->pool, key));
    } while (!l4_texts_hold(loop->table, &texts)); /* a reload has replaced the name */
    const struct l4_name name = text.bytes ? named(loop, text) : (struct l4_name){0};
    if (key == L4_TEXTS_KEY_STICKY)
        l4_exchange_at(loop, index)->sticky_hash = name.hash;
    return name;
}

/* Returns the value that the head sets for the cookie of this name; of several, the last one, as
 * browsers do. */
static struct l4_text set_by(const char *bytes, const struct l4_h1_head *head, struct l4_text name)
{
    struct l4_text found = {NULL, 0};
    for (uint32_t i = head->first[L4_FIELD_SET_COOKIE]; i < head->field_count; i++) {
        const struct l4_h1_field *field = &head->fields[i];
        if (field->id != L4_FIELD_SET_COOKIE)
            continue;
        const struct l4_text value = {bytes + field->value.at, field->value.bytes};
        const struct l4_text set = l4_cookie_set(value, name);
        if (set.at)
            found = set;
    }
    return found;
}

void l4_request_name_learn(struct l4_loop *loop, uint32_t index, const char *bytes,
                           const struct l4_h1_head *head)
{
    const struct l4_session *s = l4_session_at(loop, index);
    const struct l4_sticky_rule *rule = &l4_row_pool(loop, s)->sticky;
    if (!l4_h1_has(head, L4_FIELD_SET_COOKIE) || !L4_GET(rule->ttl_ms) ||
        L4_GET(rule->key.kind) != L4_KEY_COOKIE)
        return;
    const struct l4_texts texts = l4_texts_begin(loop->table);
    const struct l4_text set =
        set_by(bytes, head, l4_texts_key(&texts, s->pool, L4_TEXTS_KEY_STICKY));
    if (!set.bytes || set.bytes > L4_KEY_VALUE_MAX || !l4_texts_hold(loop->table, &texts))
        return;
    const struct l4_name name = named(loop, set);
    const struct l4_sticky_client client = {
        .addr = l4_row_client(loop, s),
        .name_hash = name.hash,
        .name = set.at,
        .name_bytes = (uint32_t)set.bytes,
    };
    l4_sticky_learn(loop->table, loop->setup.index, s->pool, &client, s->backend, loop->now_ms);
    l4_exchange_at(loop, index)->sticky_hash = name.hash;
}

void l4_request_name_keep(const struct l4_loop *loop, uint32_t index)
{
    struct l4_session *s = l4_session_at(loop, index);
    if (l4_key_is_of_request(L4_GET(l4_row_pool(loop, s)->sticky.key.kind)))
        s->name_hash = l4_exchange_at(loop, index)->sticky_hash;
}
