#include "http/cached.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "http/serve.h"

static const struct l4_h1_bounds bounds = {.head = L4_H1_HEAD_MAX, .fields = L4_H1_FIELDS_MAX};

static struct l4_text printed(const char *to, int bytes, size_t room)
{
    return (struct l4_text){to, bytes > 0 && (size_t)bytes < room ? (size_t)bytes : 0};
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
    if (c->state != L4_CACHING_ASK || !c->read.object)
        return 0;
    const struct l4_text head = l4_cached_head(c->read.object);
    if (l4_h1_answer(head.at, head.bytes, &bounds, L4_METHOD_GET, &stored))
        return 0;
    const struct l4_text etag = l4_h1_value(head.at, &stored, L4_FIELD_ETAG);
    const struct l4_text modified = l4_h1_value(head.at, &stored, L4_FIELD_LAST_MODIFIED);
    for (size_t i = 0; i < sizeof dropped / sizeof *dropped; i++)
        rules[count++] = (struct l4_field_rule){.action = L4_FIELD_REMOVE, .name = dropped[i]};
    rules[count++] = (struct l4_field_rule){etag.bytes ? L4_FIELD_SET : L4_FIELD_REMOVE,
                                            L4_TEXT("If-None-Match"), etag};
    rules[count++] = (struct l4_field_rule){modified.bytes ? L4_FIELD_SET : L4_FIELD_REMOVE,
                                            L4_TEXT("If-Modified-Since"), modified};
    return count;
}

/* ---- what answers tell ----------------------------------------------------------------------- */

/* RFC 9211, 2: what the cache did, in the words of Structured Fields. */
static size_t write_status(const struct l4_loop *loop, uint32_t index, struct l4_text name,
                           char *to, size_t room)
{
    static const char *const forwarded[L4_CACHE_RESULT_COUNT] = {
        [L4_CACHE_MISS] = "; fwd=uri-miss",
        [L4_CACHE_EXPIRED] = "; fwd=stale",
        [L4_CACHE_REVALIDATED] = "; hit; fwd=stale; fwd-status=304",
        [L4_CACHE_BYPASS] = "; fwd=bypass",
    };
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const struct l4_caching *c = l4_caching_at(loop, index);
    const char *fwd = forwarded[x->cached] ? forwarded[x->cached] : "; hit";
    const bool own = name.bytes;
    int bytes =
        snprintf(to, room, "%.*s%s", own ? (int)name.bytes : 4, own ? name.at : "l4lb", fwd);
    if (c->state == L4_CACHING_SEND)
        bytes += snprintf(to + bytes, room - (size_t)bytes, "; ttl=%" PRId32, c->left_s);
    else if (c->fill.first != L4_NONE)
        bytes += snprintf(to + bytes, room - (size_t)bytes, "; stored");
    if (c->waited)
        bytes += snprintf(to + bytes, room - (size_t)bytes, "; collapsed");
    return (size_t)bytes;
}

size_t l4_cached_fields(const struct l4_loop *loop, uint32_t index, const struct l4_texts *texts,
                        struct l4_cached_told *told, struct l4_field_rule *rules)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    size_t count = 0;
    if (!x->cache)
        return 0;
    const struct l4_caching *c = l4_caching_at(loop, index);
    if (c->state == L4_CACHING_SEND) {
        const int bytes = snprintf(told->age, sizeof told->age, "%" PRIu32, c->age_s);
        rules[count++] = (struct l4_field_rule){L4_FIELD_SET, L4_TEXT("Age"),
                                                printed(told->age, bytes, sizeof told->age)};
        if (c->form == L4_CACHED_PART || c->form == L4_CACHED_NO_PART) {
            const int size =
                c->form == L4_CACHED_PART
                    ? snprintf(told->range, sizeof told->range,
                               "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, c->at, c->end - 1,
                               c->total)
                    : snprintf(told->range, sizeof told->range, "bytes */%" PRIu64, c->total);
            rules[count++] = (struct l4_field_rule){L4_FIELD_SET, L4_TEXT("Content-Range"),
                                                    printed(told->range, size, sizeof told->range)};
        }
    }
    const struct l4_text field = l4_texts_cache(texts, x->cache - 1u).status;
    if (!field.bytes)
        return count;
    const struct l4_text via = l4_texts_listener(texts, l4_session_at(loop, index)->listener).via;
    /* why a part: it is a name of a Via, which may have more than a token of RFC 9651. */
    const bool token = via.bytes && via.bytes <= 64 && !memchr(via.at, ' ', via.bytes);
    const size_t size = write_status(loop, index, token ? via : (struct l4_text){NULL, 0},
                                     told->status, sizeof told->status);
    rules[count++] = (struct l4_field_rule){L4_FIELD_ADD, field, {told->status, size}};
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
    const struct l4_text text = l4_cached_head(c->read.object);
    if (l4_h1_answer(text.at, text.bytes, &bounds, L4_METHOD_GET, head))
        return false;
    const bool has_body = head->framing != L4_FRAMING_NONE;
    static const uint16_t statuses[] = {[L4_CACHED_NOT_MODIFIED] = 304,
                                        [L4_CACHED_FAILED] = 412,
                                        [L4_CACHED_PART] = 206,
                                        [L4_CACHED_NO_PART] = 416};
    if (c->form != L4_CACHED_WHOLE) {
        head->status = statuses[c->form];
        head->reason.bytes = 0;
    }
    if (c->form != L4_CACHED_WHOLE && c->form != L4_CACHED_PART)
        drop_body_fields(text.at, head);
    const bool told = has_body && c->form != L4_CACHED_NOT_MODIFIED;
    const bool head_only = l4_exchange_at(loop, index)->method == L4_METHOD_HEAD;
    head->framing = told && !head_only ? L4_FRAMING_LENGTH : L4_FRAMING_NONE;
    head->has_length = told;
    head->length = told ? c->end - c->at : 0;
    return true;
}
