#include "http/fill.h"

#include <stdlib.h>
#include <strings.h>

#include "base/assert.h"
#include "core/h1write.h"
#include "core/vary.h"
#include "http/cached.h"
#include "http/caching.h"
#include "http/fill_body.h"
#include "http/message.h"
#include "http/on_disk.h"
#include "http/serve.h"

enum { ON_DISK_FROM_S = 10 }; /* what is fresh for a shorter time is not worth a file */

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
    char *to = l4_fill_add_block(loop, fill);
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
    if (!l4_vary_write(bytes, head, request, &judged->head, l4_caching_cookies(loop, index),
                       out->to + out->used, &vary))
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
    fill->asked_s = heads.asked_s;
    l4_caching_drop_read(loop, index);
    const enum l4_unstorable why = l4_caching_judge(loop, index, &heads, &fill->freshness);
    const bool large =
        head->has_length && head->length > L4_GET(l4_caching_rules(loop, index)->max_object);
    if (why != L4_UNSTORABLE_NONE || (large && !l4_on_disk_takes(loop, index, head->length))) {
        l4_caching_end_claim(loop, index, head->status != 304 && concerns_all(why));
        return;
    }
    struct l4_text_out out = begin_texts(loop, fill);
    fill->status = head->status;
    const bool named = put_names(loop, index, bytes, head, &out);
    const size_t before = out.used;
    if (named)
        l4_message_to_store(loop, index, bytes, head, &out);
    fill->head_bytes = (uint32_t)(out.used - before);
    fill->last_bytes = L4_HTTP_BLOCK_BYTES; /* the body begins in a block of its own */
    fill->body_bytes = 0;
    fill->length = head->has_length ? head->length : UINT64_MAX;
    if (!named || out.full || (large && !l4_fill_go_to_disk(loop, index))) {
        l4_fill_drop(loop, index);
        l4_caching_end_claim(loop, index, true);
    } else if (large) {
        l4_fill_grow(loop, index);
    }
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

enum l4_cache_stored l4_fill_put(struct l4_loop *loop, uint32_t index,
                                 const struct l4_cache_new *new)
{
    const uint32_t variants = L4_GET(l4_caching_rules(loop, index)->max_variants);
    struct replaced replaced = {new->vary, 0, variants};
    return l4_cache_put(&l4_caching_open(loop, index)->cache, new, replaces, &replaced);
}

static bool count_stored(const struct l4_loop *loop, uint32_t index, bool stored)
{
    struct l4_cache_tally *tally = l4_caching_tally(loop, index);
    L4_OWN_ADD(*(stored ? &tally->stored : &tally->refused), 1);
    return stored;
}

/* Writes what is stored in memory to a file, too. */
static bool write_file(struct l4_loop *loop, uint32_t index, const struct l4_cache_new *new)
{
    if (new->freshness.lifetime_s < ON_DISK_FROM_S || !l4_on_disk_takes(loop, index, 0) ||
        !l4_on_disk_begin(loop, index))
        return false;
    for (size_t i = 0; i < new->pieces; i++) {
        if (!l4_on_disk_write(loop, index, new->body[i])) {
            l4_on_disk_abort(loop, index);
            return false;
        }
    }
    return l4_on_disk_end(loop, index);
}

/* Stores what the fill's texts say, with this body. */
static bool store(struct l4_loop *loop, uint32_t index, const struct l4_text *body, size_t pieces)
{
    struct l4_cache_new new = l4_fill_new(loop, index);
    new.body = body;
    new.pieces = pieces;
    const enum l4_cache_stored stored = l4_fill_put(loop, index, &new);
    if (stored == L4_CACHE_OVERTAKEN)
        return false;
    const bool on_disk = write_file(loop, index, &new);
    return count_stored(loop, index, stored == L4_CACHE_STORED || on_disk);
}

/* Stores what the fill's texts say, with a body that is in the file of this number. */
static bool store_beside(struct l4_loop *loop, uint32_t index, uint64_t file, uint64_t marker,
                         uint64_t body_bytes)
{
    struct l4_cache_new new = l4_fill_new(loop, index);
    new.file = file;
    new.marker = marker;
    new.fd_bytes = body_bytes;
    return l4_fill_put(loop, index, &new) == L4_CACHE_STORED;
}

/* Stores an answer whose body is in a file. */
static bool store_file(struct l4_loop *loop, uint32_t index)
{
    const struct l4_fill *fill = &l4_caching_at(loop, index)->fill;
    const uint64_t file = l4_on_disk_end(loop, index);
    /* why its result does not matter: who does not find it in memory finds the file. */
    if (file)
        (void)store_beside(loop, index, file, fill->marker, fill->body_bytes);
    return count_stored(loop, index, file);
}

static bool store_blocks(struct l4_loop *loop, uint32_t index)
{
    const struct l4_fill *fill = &l4_caching_at(loop, index)->fill;
    struct l4_caches *caches = loop->http->caches;
    size_t pieces = 0;
    if (fill->grows) {
        const struct l4_cache *cache = &l4_caching_open(loop, index)->cache;
        const struct l4_text body = l4_growing_body(cache, fill->grows - 1);
        return store(loop, index, &body, 1);
    }
    for (uint32_t block = caches->next[fill->first]; block != L4_NONE; block = caches->next[block])
        caches->pieces[pieces++] = (struct l4_text){
            l4_http_block(loop->http, block),
            block == fill->last ? fill->last_bytes : (uint32_t)L4_HTTP_BLOCK_BYTES};
    return store(loop, index, caches->pieces, pieces);
}

/* Has another one, who took the claim over, stored an answer that came after this one was asked
 * for? */
static bool is_outdone(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_caching *c = l4_caching_at(loop, index);
    struct l4_cache *cache = &l4_caching_open(loop, index)->cache;
    const struct l4_cache_new new = l4_fill_new(loop, index);
    struct l4_cache_read read;
    bool outdone = false;
    if (l4_cache_has_claim(cache, &c->claim))
        return false;
    for (uint32_t way = 0; l4_cache_next(cache, new.hash, new.key, &way, &read);) {
        const struct l4_cached *other = read.object;
        if (other->pool == c->pool && l4_text_is(l4_cached_vary(other), new.vary) &&
            other->freshness.answered_s >= c->fill.asked_s)
            outdone = true;
        l4_cache_release(cache, &read);
    }
    return outdone;
}

/* Ends the claim and the fill. kept: it was stored; if somebody has purged meanwhile, it is taken
 * out again. */
static void settle(struct l4_loop *loop, uint32_t index, bool kept)
{
    const struct l4_caching *c = l4_caching_at(loop, index);
    if (!l4_caching_end_claim(loop, index, false) && kept) {
        const struct l4_text key = {l4_http_block(loop->http, c->fill.first), c->fill.key_bytes};
        (void)l4_caching_purge(loop, index, c->hash, key);
    }
    l4_fill_drop(loop, index);
}

void l4_fill_end(struct l4_loop *loop, uint32_t index)
{
    const struct l4_caching *c = l4_caching_at(loop, index);
    const struct l4_cache *cache = &l4_caching_open(loop, index)->cache;
    const bool kept = l4_cache_is_current(cache, &c->claim) && !is_outdone(loop, index) &&
                      (c->fill.file.fd ? store_file(loop, index) : store_blocks(loop, index));
    l4_fill_end_growing(loop, index, true);
    settle(loop, index, kept);
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
    struct l4_exchange_heads heads = heads_of(loop, index, place, &merged);
    heads.updates = true;
    if (l4_caching_judge(loop, index, &heads, &fill->freshness) != L4_UNSTORABLE_NONE ||
        !put_names(loop, index, place, &merged, &out))
        return false;
    l4_text_put(&out, (struct l4_text){place, text.used});
    fill->status = object->status;
    fill->head_bytes = (uint32_t)text.used;
    return !out.full;
}

/* Stores the texts of the fill with the body of the object that has been read. */
static bool store_fresh(struct l4_loop *loop, uint32_t index)
{
    const struct l4_cached *object = l4_caching_at(loop, index)->read.object;
    if (object->file)
        return store_beside(loop, index, object->file, object->marker, object->body_bytes);
    const struct l4_text body = l4_cached_body(object);
    return store(loop, index, &body, 1);
}

/* Reads the object that was stored in place of the one that has been read. */
static void read_fresh(struct l4_loop *loop, uint32_t index)
{
    struct l4_caching *c = l4_caching_at(loop, index);
    const char *request = l4_http_block(loop->http, l4_exchange_at(loop, index)->block);
    const struct l4_caching before = *c;
    c->read = (struct l4_cache_read){NULL, 0};
    c->file = 0;
    const bool found = l4_caching_find(loop, index, request, &l4_serve_judged(loop, index)->head);
    const struct l4_caching after = *c;
    if (found) { /* what is left is dropped */
        c->read = before.read;
        c->file = before.file;
    }
    l4_caching_drop_read(loop, index);
    c->read = found ? after.read : before.read;
    c->file = found ? after.file : before.file;
    c->file_at = found ? after.file_at : before.file_at;
}

void l4_fill_freshen(struct l4_loop *loop, uint32_t index, const char *bytes,
                     const struct l4_h1_head *head)
{
    const struct l4_caching *c = l4_caching_at(loop, index);
    const struct l4_cache *cache = &l4_caching_open(loop, index)->cache;
    const bool kept = put_fresh(loop, index, bytes, head) &&
                      l4_cache_is_current(cache, &c->claim) && store_fresh(loop, index);
    if (kept)
        read_fresh(loop, index);
    settle(loop, index, kept);
}

/* ---- HEAD ------------------------------------------------------------------------------------ */

/* Do two answers say different things in a field? One that only one of them has says nothing. */
static bool differs(enum l4_field_id id, const char *a_bytes, const struct l4_h1_head *a,
                    const char *b_bytes, const struct l4_h1_head *b)
{
    const struct l4_text one = l4_h1_value(a_bytes, a, id), other = l4_h1_value(b_bytes, b, id);
    return one.bytes && other.bytes && !l4_text_is(one, other);
}

static bool is_of(const struct l4_cached *object, const char *bytes, const struct l4_h1_head *head)
{
    const char *stored = l4_cached_head(object).at;
    struct l4_h1_head its;
    return l4_cached_parse(object, &its) && !differs(L4_FIELD_ETAG, stored, &its, bytes, head) &&
           !differs(L4_FIELD_LAST_MODIFIED, stored, &its, bytes, head) &&
           (!head->has_length || head->length == object->body_bytes);
}

void l4_fill_see_head(struct l4_loop *loop, uint32_t index, const char *bytes,
                      const struct l4_h1_head *head)
{
    struct l4_caching *c = l4_caching_at(loop, index);
    struct l4_caches *caches = loop->http->caches;
    struct l4_cache *cache = &l4_caching_open(loop, index)->cache;
    const char *request = l4_http_block(loop->http, l4_exchange_at(loop, index)->block);
    if (head->status != 200 || !l4_caching_write_key(loop, index) ||
        l4_cache_claim(cache, c->hash, l4_caching_now_s(), &c->claim) != L4_CACHE_FETCH)
        return;
    c->cleared = l4_ban_last(caches->bans);
    const bool found = l4_caching_find(loop, index, request, &l4_serve_judged(loop, index)->head);
    if (found && is_of(c->read.object, bytes, head))
        l4_fill_freshen(loop, index, bytes, head);
    else if (found)
        l4_caching_purge(loop, index, c->hash, (struct l4_text){caches->key, caches->key_bytes});
    l4_caching_end_claim(loop, index, false);
    l4_caching_drop_read(loop, index);
}
