#include "http/fill.h"

#include <stdlib.h>
#include <strings.h>

#include "base/assert.h"
#include "core/h1write.h"
#include "core/vary.h"
#include "http/cached.h"
#include "http/caching.h"
#include "http/message.h"
#include "http/serve.h"

enum { FILL_BLOCKS_MAX = L4_HTTP_BLOCKS / 2 }; /* requests need the others */

/* ---- blocks ---------------------------------------------------------------------------------- */

/* Adds a block to the fill. Returns it; NULL: there is none. */
static char *add_block(struct l4_loop *loop, struct l4_fill *fill)
{
    struct l4_caches *caches = loop->http->caches;
    if (caches->fill_blocks >= FILL_BLOCKS_MAX)
        return NULL;
    const uint32_t block = l4_http_take_block(loop->http);
    if (block == L4_NONE)
        return NULL;
    caches->fill_blocks++;
    caches->next[block] = L4_NONE;
    *(fill->first == L4_NONE ? &fill->first : &caches->next[fill->last]) = block;
    fill->last = block;
    fill->last_bytes = 0;
    return l4_http_block(loop->http, block);
}

/* Frees the first block. */
static void drop_block(struct l4_loop *loop, struct l4_fill *fill)
{
    struct l4_caches *caches = loop->http->caches;
    const uint32_t block = fill->first;
    fill->first = caches->next[block];
    if (fill->first == L4_NONE)
        fill->last = L4_NONE;
    caches->fill_blocks--;
    l4_http_give_block(loop->http, block);
}

void l4_fill_drop(struct l4_loop *loop, uint32_t index)
{
    struct l4_fill *fill = &l4_caching_at(loop, index)->fill;
    while (fill->first != L4_NONE)
        drop_block(loop, fill);
}

/* Puts bytes behind those that are there. Returns false if there is no block. */
static bool put(struct l4_loop *loop, struct l4_fill *fill, struct l4_text data, bool new_block)
{
    while (data.bytes) {
        if (new_block || fill->last_bytes == L4_HTTP_BLOCK_BYTES) {
            if (!add_block(loop, fill))
                return false;
            new_block = false;
        }
        const size_t room = L4_HTTP_BLOCK_BYTES - fill->last_bytes;
        const size_t n = data.bytes < room ? data.bytes : room;
        memcpy(l4_http_block(loop->http, fill->last) + fill->last_bytes, data.at, n);
        fill->last_bytes += (uint32_t)n;
        data = l4_text_after(data, n);
    }
    return true;
}

/* ---- the head -------------------------------------------------------------------------------- */

/* Puts the answer's tags together, from all fields of the name that the cache tells. */
static void put_tags(struct l4_loop *loop, uint32_t index, const char *bytes,
                     const struct l4_h1_head *head, struct l4_text_out *out)
{
    const size_t before = out->used;
    struct l4_texts texts;
    do {
        texts = l4_texts_begin(loop->table);
        const struct l4_text name = l4_caching_texts(loop, index, &texts).tags;
        out->used = before;
        for (uint32_t i = 0; name.bytes && i < head->field_count; i++) {
            const struct l4_text its = l4_h1_text(bytes, head->fields[i].name);
            const struct l4_text value = l4_h1_text(bytes, head->fields[i].value);
            if (its.bytes != name.bytes || strncasecmp(its.at, name.at, name.bytes) != 0)
                continue;
            if (out->used - before + value.bytes + 1 > L4_CACHE_TAGS_MAX)
                break;
            if (out->used > before)
                l4_text_put(out, L4_TEXT(","));
            l4_text_put(out, value);
        }
    } while (!l4_texts_hold(loop->table, &texts));
}

/* Where texts of a new object are written: its first block. */
static struct l4_text_out begin_texts(struct l4_loop *loop, struct l4_fill *fill)
{
    char *to = add_block(loop, fill);
    return (struct l4_text_out){.to = to, .size = to ? L4_HTTP_BLOCK_BYTES : 0, .full = !to};
}

/* Writes key, Vary's values and tags. Returns false if they cannot be kept. */
static bool put_names(struct l4_loop *loop, uint32_t index, const char *bytes,
                      const struct l4_h1_head *head, struct l4_text_out *out)
{
    struct l4_fill *fill = &l4_caching_at(loop, index)->fill;
    const struct l4_caches *caches = loop->http->caches;
    const struct l4_http_judged *judged = l4_serve_judged(loop, index);
    const char *request = l4_http_block(loop->http, l4_exchange_at(loop, index)->block);
    size_t vary;
    if (out->full || !l4_caching_write_key(loop, index))
        return false;
    l4_text_put(out, (struct l4_text){caches->key, caches->key_bytes});
    fill->key_bytes = (uint16_t)caches->key_bytes;
    if (!l4_vary_write(bytes, head, request, &judged->head, out->to + out->used, &vary))
        return false;
    out->used += vary;
    fill->vary_bytes = (uint16_t)vary;
    const size_t before = out->used;
    put_tags(loop, index, bytes, head, out);
    fill->tags_bytes = (uint16_t)(out->used - before);
    return !out->full;
}

static struct l4_exchange_heads heads_of(struct l4_loop *loop, uint32_t index, const char *bytes,
                                         const struct l4_h1_head *head)
{
    const struct l4_exchange *x = l4_exchange_at(loop, index);
    const int64_t now_s = l4_caching_now_s();
    return (struct l4_exchange_heads){
        .request_bytes = l4_http_block(loop->http, x->block),
        .request = &l4_serve_judged(loop, index)->head,
        .answer_bytes = bytes,
        .answer = head,
        .asked_s = now_s - (int64_t)((loop->now_us - x->sent_us) / 1000000),
        .answered_s = now_s,
    };
}

/* Do others get an answer that is not kept either? Then they need not wait for each other. */
static bool concerns_all(enum l4_unstorable why)
{
    return why != L4_UNSTORABLE_REQUEST && why != L4_UNSTORABLE_AUTHORIZATION;
}

void l4_fill_begin(struct l4_loop *loop, uint32_t index, const char *bytes,
                   const struct l4_h1_head *head)
{
    struct l4_caching *c = l4_caching_at(loop, index);
    struct l4_fill *fill = &c->fill;
    const struct l4_exchange_heads heads = heads_of(loop, index, bytes, head);
    L4_ASSERT(fill->first == L4_NONE);
    l4_cache_release(&l4_caching_open(loop, index)->cache, &c->read);
    const enum l4_unstorable why = l4_caching_judge(loop, index, &heads, &fill->freshness);
    const uint64_t max = L4_GET(l4_caching_rules(loop, index)->max_object);
    if (why != L4_UNSTORABLE_NONE || (head->has_length && head->length > max)) {
        l4_caching_end_claim(loop, index, head->status != 304 && concerns_all(why));
        return;
    }
    struct l4_text_out out = begin_texts(loop, fill);
    fill->status = head->status;
    const bool named = put_names(loop, index, bytes, head, &out);
    const size_t before = out.used;
    if (named)
        l4_message_to_store(loop, index, bytes, head, &out);
    if (!named || out.full) {
        l4_fill_drop(loop, index);
        l4_caching_end_claim(loop, index, true);
        return;
    }
    fill->head_bytes = (uint32_t)(out.used - before);
    fill->last_bytes = L4_HTTP_BLOCK_BYTES; /* the body begins in a block of its own */
    fill->body_bytes = 0;
}

/* ---- the body -------------------------------------------------------------------------------- */

void l4_fill_take(struct l4_loop *loop, uint32_t index, struct l4_text data)
{
    struct l4_fill *fill = &l4_caching_at(loop, index)->fill;
    const uint64_t max = L4_GET(l4_caching_rules(loop, index)->max_object);
    if (fill->first == L4_NONE)
        return;
    fill->body_bytes += data.bytes;
    const bool large = fill->body_bytes > max;
    if (!large && put(loop, fill, data, false))
        return;
    l4_fill_drop(loop, index);
    l4_caching_end_claim(loop, index, large);
}

/* ---- storing --------------------------------------------------------------------------------- */

struct replaced {
    struct l4_text vary;
    uint32_t others, max;
};

/* The object of the same variant is replaced, and those beyond the number of variants. */
static bool replaces(void *context, const struct l4_cached *old)
{
    struct replaced *replaced = context;
    return l4_text_is(l4_cached_vary(old), replaced->vary) || ++replaced->others >= replaced->max;
}

/* Stores what the fill's texts say, with this body. */
static bool store(struct l4_loop *loop, uint32_t index, const struct l4_text *body, size_t pieces)
{
    const struct l4_caching *c = l4_caching_at(loop, index);
    const struct l4_fill *fill = &c->fill;
    struct l4_cache_tally *tally = l4_caching_tally(loop, index);
    const struct l4_text texts = {l4_http_block(loop->http, fill->first), L4_HTTP_BLOCK_BYTES};
    struct l4_cache_new new = {
        .hash = c->hash,
        .pool = c->pool,
        .cleared = c->cleared,
        .freshness = fill->freshness,
        .status = fill->status,
        .key = {texts.at, fill->key_bytes},
        .body = body,
        .pieces = pieces,
    };
    new.vary = (struct l4_text){new.key.at + new.key.bytes, fill->vary_bytes};
    new.tags = (struct l4_text){new.vary.at + new.vary.bytes, fill->tags_bytes};
    new.head = (struct l4_text){new.tags.at + new.tags.bytes, fill->head_bytes};
    struct replaced replaced = {new.vary, 0, L4_GET(l4_caching_rules(loop, index)->max_variants)};
    const bool stored = l4_cache_put(&l4_caching_open(loop, index)->cache, &new, replaces,
                                     &replaced) == L4_CACHE_STORED;
    L4_OWN_ADD(*(stored ? &tally->stored : &tally->refused), 1);
    return stored;
}

void l4_fill_end(struct l4_loop *loop, uint32_t index)
{
    const struct l4_caching *c = l4_caching_at(loop, index);
    struct l4_caches *caches = loop->http->caches;
    struct l4_cache *cache = &l4_caching_open(loop, index)->cache;
    const struct l4_fill *fill = &c->fill;
    size_t pieces = 0;
    for (uint32_t block = caches->next[fill->first]; block != L4_NONE; block = caches->next[block])
        caches->pieces[pieces++] = (struct l4_text){
            l4_http_block(loop->http, block),
            block == fill->last ? fill->last_bytes : (uint32_t)L4_HTTP_BLOCK_BYTES};
    const bool kept =
        l4_cache_has_claim(cache, &c->claim) && store(loop, index, caches->pieces, pieces);
    /* why again: who purges meanwhile takes the claim away. */
    if (!l4_caching_end_claim(loop, index, false) && kept) {
        const struct l4_text key = {l4_http_block(loop->http, fill->first), fill->key_bytes};
        l4_cache_purge(cache, c->hash, key, false);
    }
    l4_fill_drop(loop, index);
}

/* ---- an object that still holds -------------------------------------------------------------- */

/* May an answer 304 change this field of what is stored (RFC 9111, 3.2)? */
static bool may_change(const struct l4_h1_field *field, struct l4_text name)
{
    static const char *const fixed[] = {"content-encoding", "content-md5"};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        if (name.bytes == strlen(fixed[i]) && l4_field_named(name.at, fixed[i], name.bytes))
            return false;
    }
    return !(field->flags & (L4_FIELD_IS_HOP | L4_FIELD_FRAMES)) &&
           field->id != L4_FIELD_CONTENT_RANGE;
}

static bool is_changed(const char *bytes, const struct l4_h1_head *head, struct l4_text name)
{
    for (uint32_t i = 0; i < head->field_count; i++) {
        const struct l4_text its = l4_h1_text(bytes, head->fields[i].name);
        if (its.bytes == name.bytes && !strncasecmp(its.at, name.at, name.bytes) &&
            may_change(&head->fields[i], its))
            return true;
    }
    return false;
}

/* Writes the head of what is stored with the fields of an answer 304 in place of its own. */
static void put_merged(struct l4_text_out *out, const char *stored,
                       const struct l4_h1_head *stored_head, const char *bytes,
                       const struct l4_h1_head *head)
{
    l4_h1_put_status(out, stored_head->status, l4_h1_text(stored, stored_head->reason));
    for (uint32_t i = 0; i < stored_head->field_count; i++) {
        const struct l4_h1_field *field = &stored_head->fields[i];
        const struct l4_text name = l4_h1_text(stored, field->name);
        if (!is_changed(bytes, head, name))
            l4_h1_put_field(out, name, l4_h1_text(stored, field->value));
    }
    for (uint32_t i = 0; i < head->field_count; i++) {
        const struct l4_h1_field *field = &head->fields[i];
        const struct l4_text name = l4_h1_text(bytes, field->name);
        if (may_change(field, name) && field->id != L4_FIELD_AGE)
            l4_h1_put_field(out, name, l4_h1_text(bytes, field->value));
    }
    l4_h1_put_end(out);
}

/* Writes the texts of the object that has been read, as an answer 304 makes them, to the fill.
 * Returns false if it may not be kept any more, or if there is no room. */
static bool put_fresh(struct l4_loop *loop, uint32_t index, const char *bytes,
                      const struct l4_h1_head *head)
{
    static const struct l4_h1_bounds bounds = {.head = L4_H1_HEAD_MAX, .fields = L4_H1_FIELDS_MAX};
    const struct l4_cached *object = l4_caching_at(loop, index)->read.object;
    struct l4_fill *fill = &l4_caching_at(loop, index)->fill;
    char *place = loop->http->written; /* nothing is written meanwhile */
    struct l4_text_out text = {.to = place, .size = L4_HTTP_ANSWER_HEAD_MAX};
    struct l4_text_out out = begin_texts(loop, fill);
    struct l4_h1_head old, merged;
    if (out.full || !l4_cached_parse(object, &old))
        return false;
    put_merged(&text, l4_cached_head(object).at, &old, bytes, head);
    if (text.full || l4_h1_answer(place, text.used, &bounds, L4_METHOD_GET, &merged))
        return false;
    const struct l4_exchange_heads heads = heads_of(loop, index, place, &merged);
    if (l4_caching_judge(loop, index, &heads, &fill->freshness) != L4_UNSTORABLE_NONE ||
        !put_names(loop, index, place, &merged, &out))
        return false;
    l4_text_put(&out, (struct l4_text){place, text.used});
    fill->status = object->status;
    fill->head_bytes = (uint32_t)text.used;
    return !out.full;
}

void l4_fill_freshen(struct l4_loop *loop, uint32_t index, const char *bytes,
                     const struct l4_h1_head *head)
{
    struct l4_caching *c = l4_caching_at(loop, index);
    struct l4_cache *cache = &l4_caching_open(loop, index)->cache;
    const struct l4_text body = l4_cached_body(c->read.object);
    if (put_fresh(loop, index, bytes, head) && l4_cache_has_claim(cache, &c->claim) &&
        store(loop, index, &body, 1)) {
        const char *request = l4_http_block(loop->http, l4_exchange_at(loop, index)->block);
        struct l4_cache_read before = c->read;
        c->read = (struct l4_cache_read){NULL, 0};
        if (l4_caching_find(loop, index, request, &l4_serve_judged(loop, index)->head))
            l4_cache_release(cache, &before);
        else
            c->read = before;
    }
    l4_fill_drop(loop, index);
    l4_caching_end_claim(loop, index, false);
}

/* ---- an object that is read for long --------------------------------------------------------- */

bool l4_fill_unpin(struct l4_loop *loop, uint32_t index)
{
    struct l4_caching *c = l4_caching_at(loop, index);
    const struct l4_text body = l4_cached_body(c->read.object);
    const struct l4_text rest = {body.at + c->at, c->end - c->at};
    if (!put(loop, &c->fill, rest, true)) {
        l4_fill_drop(loop, index);
        return false;
    }
    l4_cache_release(&l4_caching_open(loop, index)->cache, &c->read);
    c->fill.body_bytes = c->at; /* where the first block begins */
    return true;
}

struct l4_text l4_fill_piece(struct l4_loop *loop, uint32_t index)
{
    struct l4_caching *c = l4_caching_at(loop, index);
    struct l4_fill *fill = &c->fill;
    if (c->at - fill->body_bytes == L4_HTTP_BLOCK_BYTES) {
        drop_block(loop, fill);
        fill->body_bytes = c->at;
    }
    const uint64_t skip = c->at - fill->body_bytes, room = L4_HTTP_BLOCK_BYTES - skip;
    const uint64_t left = c->end - c->at;
    return (struct l4_text){l4_http_block(loop->http, fill->first) + skip,
                            left < room ? left : room};
}
