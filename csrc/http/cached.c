#include "http/cached.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "http/serve.h"

bool l4_cached_parse(const struct l4_cached *object, struct l4_h1_head *head)
{
    static const struct l4_h1_bounds bounds = {.head = L4_H1_HEAD_MAX, .fields = L4_H1_FIELDS_MAX};
    const struct l4_text text = l4_cached_head(object);
    return l4_h1_answer(text.at, text.bytes, &bounds, L4_METHOD_GET, head) == L4_H1_NONE;
}

/* ---- questions ------------------------------------------------------------------------------- */

size_t l4_cached_question(const struct l4_loop *loop, uint32_t index, struct l4_field_rule *rules)
{
    const struct l4_text dropped[] = {L4_TEXT("If-Match"), L4_TEXT("If-Unmodified-Since"),
                                      L4_TEXT("Range"), L4_TEXT("If-Range")};
    size_t count = 0;
    if (!l4_exchange_at(loop, index)->cache)
        return 0;
    const struct l4_caching *c = l4_caching_at(loop, index);
    struct l4_h1_head stored;
    if (c->state != L4_CACHING_ASK || !c->read.object || !l4_cached_parse(c->read.object, &stored))
        return 0;
    const char *bytes = l4_cached_head(c->read.object).at;
    const struct l4_text etag = l4_h1_value(bytes, &stored, L4_FIELD_ETAG);
    const struct l4_text modified = l4_h1_value(bytes, &stored, L4_FIELD_LAST_MODIFIED);
    for (size_t i = 0; i < sizeof dropped / sizeof *dropped; i++)
        rules[count++] = (struct l4_field_rule){.action = L4_FIELD_REMOVE, .name = dropped[i]};
    rules[count++] = (struct l4_field_rule){etag.bytes ? L4_FIELD_SET : L4_FIELD_REMOVE,
                                            L4_TEXT("If-None-Match"), etag};
    rules[count++] = (struct l4_field_rule){modified.bytes ? L4_FIELD_SET : L4_FIELD_REMOVE,
                                            L4_TEXT("If-Modified-Since"), modified};
    return count;
}

/* ---- what answers tell ----------------------------------------------------------------------- */

/* RFC 9211, 2: what the cache did, in the words of Structured Fields. why without printf: every hit
 * has it. */
static void put_status(const struct l4_loop *loop, uint32_t index, struct l4_text name,
                       struct l4_text_out *out)
{
    static const struct l4_text forwarded[L4_CACHE_RESULT_COUNT] = {
        [L4_CACHE_MISS] = L4_TEXT("; fwd=uri-miss"),
        [L4_CACHE_EXPIRED] = L4_TEXT("; fwd=stale"),
        [L4_CACHE_REVALIDATED] = L4_TEXT("; hit; fwd=stale; fwd-status=304"),
        [L4_CACHE_BYPASS] = L4_TEXT("; fwd=bypass"),
    };
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_caching *c = l4_caching_at(loop, index);
    l4_text_put(out, name.bytes ? name : L4_TEXT("l4lb"));
    l4_text_put(out, forwarded[x->cached].bytes ? forwarded[x->cached] : L4_TEXT("; hit"));
    if (c->state == L4_CACHING_SEND) {
        l4_text_put(out, c->left_s < 0 ? L4_TEXT("; ttl=-") : L4_TEXT("; ttl="));
        l4_h1_put_number(out, (uint64_t)llabs(c->left_s));
    } else if (c->fill.first != L4_NONE) {
        l4_text_put(out, L4_TEXT("; stored"));
    }
    if (c->waited)
        l4_text_put(out, L4_TEXT("; collapsed"));
}

/* RFC 9110, 14.4: which part of a body an answer has. */
static void put_range(const struct l4_caching *c, struct l4_text_out *out)
{
    l4_text_put(out, L4_TEXT("bytes "));
    if (c->form == L4_CACHED_PART) {
        l4_h1_put_number(out, c->at);
        l4_text_put(out, L4_TEXT("-"));
        l4_h1_put_number(out, c->end - 1);
    } else {
        l4_text_put(out, L4_TEXT("*"));
    }
    l4_text_put(out, L4_TEXT("/"));
    l4_h1_put_number(out, c->total);
}

/* A name of a Via is told as it is if it is a token (RFC 9651, 3.3.4) of some length. */
static struct l4_text identifier(struct l4_text via)
{
    const bool token = via.bytes && via.bytes <= 64 && isalpha((unsigned char)*via.at) &&
                       !memchr(via.at, ' ', via.bytes);
    return token ? via : (struct l4_text){NULL, 0};
}

static struct l4_field_rule rule(enum l4_field_action action, struct l4_text name,
                                 const struct l4_text_out *value)
{
    return (struct l4_field_rule){action, name, {value->to, value->used}};
}

size_t l4_cached_fields(const struct l4_loop *loop, uint32_t index, const struct l4_texts *texts,
                        struct l4_cached_told *told, struct l4_field_rule *rules)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    struct l4_text_out age = {.to = told->age, .size = sizeof told->age};
    struct l4_text_out range = {.to = told->range, .size = sizeof told->range};
    struct l4_text_out status = {.to = told->status, .size = sizeof told->status};
    size_t count = 0;
    if (!x->cache)
        return 0;
    const struct l4_caching *c = l4_caching_at(loop, index);
    if (c->state == L4_CACHING_SEND) {
        l4_h1_put_number(&age, c->age_s);
        rules[count++] = rule(L4_FIELD_SET, L4_TEXT("Age"), &age);
    }
    if (c->form == L4_CACHED_PART || c->form == L4_CACHED_NO_PART) {
        put_range(c, &range);
        rules[count++] = rule(L4_FIELD_SET, L4_TEXT("Content-Range"), &range);
    }
    const struct l4_text field = l4_caching_texts(loop, index, texts).status;
    if (!field.bytes)
        return count;
    const struct l4_text via = l4_texts_listener(texts, l4_session_at(loop, index)->listener).via;
    put_status(loop, index, identifier(via), &status);
    rules[count++] = rule(L4_FIELD_ADD, field, &status);
    return count;
}

/* ---- stored heads ---------------------------------------------------------------------------- */

/* Does a field describe a body (RFC 9110, 8), so that an answer without that body has it not? */
static bool describes_body(const char *bytes, const struct l4_h1_field *field)
{
    static const char prefix[] = "content-";
    const struct l4_text name = l4_h1_text(bytes, field->name);
    return field->id != L4_FIELD_CONTENT_LOCATION && name.bytes >= sizeof prefix - 1 &&
           l4_field_named(name.at, prefix, sizeof prefix - 1);
}

static void drop_body_fields(const char *bytes, struct l4_h1_head *head)
{
    for (uint32_t i = 0; i < head->field_count; i++) {
        if (describes_body(bytes, &head->fields[i]))
            head->fields[i].flags |= L4_FIELD_IS_HOP;
    }
}

bool l4_cached_head_of(const struct l4_loop *loop, uint32_t index, struct l4_h1_head *head)
{
    const struct l4_caching *c = l4_caching_at(loop, index);
    if (!l4_cached_parse(c->read.object, head))
        return false;
    const bool has_body = head->framing != L4_FRAMING_NONE;
    static const uint16_t statuses[] = {[L4_CACHED_NOT_MODIFIED] = 304,
                                        [L4_CACHED_FAILED] = 412,
                                        [L4_CACHED_PART] = 206,
                                        [L4_CACHED_NO_PART] = 416};
    if (c->form != L4_CACHED_WHOLE)
        head->status = statuses[c->form];
    if (c->form != L4_CACHED_WHOLE && c->form != L4_CACHED_PART)
        drop_body_fields(l4_cached_head(c->read.object).at, head);
    const bool told = has_body && c->form != L4_CACHED_NOT_MODIFIED;
    const bool head_only = l4_exchange_at(loop, index)->method == L4_METHOD_HEAD;
    head->framing = told && !head_only ? L4_FRAMING_LENGTH : L4_FRAMING_NONE;
    head->has_length = told;
    head->length = told ? c->end - c->at : 0;
    return true;
}
