#include "http/follow.h"

#include "core/validate.h"
#include "http/cached.h"
#include "http/caching.h"
#include "http/on_disk.h"
#include "http/serve.h"

static struct l4_cache *cache_of(const struct l4_loop *loop, uint32_t index)
{
    return &l4_caching_open(loop, index)->cache;
}

static uint64_t patience_ms(const struct l4_loop *loop, uint32_t index)
{
    return L4_GET(l4_caching_rules(loop, index)->collapse_ms);
}

/* Returns a hash of what tells that another object has the same bytes; 0: nothing does. why not by
 * Last-Modified alone: it may be younger than the second that it names (RFC 9110, 8.8.2.2). */
static uint64_t validator_of(const struct l4_loop *loop, const struct l4_cached *object)
{
    struct l4_h1_head head;
    if (!l4_cached_parse(object, &head))
        return 0;
    const int64_t now_s = l4_caching_now_s();
    const char *bytes = l4_cached_head(object).at;
    const struct l4_validators its = l4_validators_of(bytes, &head, now_s);
    const struct l4_hash_key *key = &loop->table->header->hash_key;
    if (its.etag.at && l4_etag_is(its.etag, its.etag, false))
        return l4_hash(key, its.etag.at, its.etag.bytes) | 1;
    if (its.modified_s >= 0 && its.date_s > its.modified_s)
        return l4_hash_again(l4_hash(key, "", 0), (uint64_t)its.modified_s) | 1;
    return 0;
}

/* ---- the begin ------------------------------------------------------------------------------- */

/* Finds what is fetched for a claim, in caches->found, and opens its file. */
static bool find(struct l4_loop *loop, uint32_t index, uint64_t claim, struct l4_growing_read *read)
{
    struct l4_caching *c = l4_caching_at(loop, index);
    struct l4_cached *found = loop->http->caches->found;
    const size_t room = sizeof *found + L4_DISK_TEXTS_MAX;
    const struct l4_disk *disk = &l4_caching_open(loop, index)->disk;
    if (!l4_growing_find(cache_of(loop, index), claim, found, room, read) || c->file)
        return false;
    const int file = l4_growing_open(cache_of(loop, index), read, disk, &c->file_at);
    c->file = file > 0 ? file : 0;
    return file >= 0;
}

/* Is what was found an answer to the session's request, and does it come? */
static bool is_answer(struct l4_loop *loop, uint32_t index, const struct l4_growing_read *read)
{
    const struct l4_http_judged *judged = l4_serve_judged(loop, index);
    const char *bytes = l4_http_block(loop->http, l4_exchange_at(loop, index)->block);
    const struct l4_cached *found = loop->http->caches->found;
    struct l4_cache_control asked;
    uint64_t filled, since_ms;
    l4_fresh_asked(bytes, &judged->head, &asked);
    return l4_caching_fits(loop, index, bytes, &judged->head, found) &&
           !atomic_load_explicit(&found->soft, memory_order_relaxed) &&
           l4_fresh_use(&found->freshness, &asked, l4_caching_now_s()) == L4_USE &&
           l4_growing_look(cache_of(loop, index), read, &filled, &since_ms) == L4_GROWING_ON &&
           loop->now_ms - since_ms < patience_ms(loop, index);
}

enum l4_follow_begun l4_follow_begin(struct l4_loop *loop, uint32_t index, uint64_t claim)
{
    const struct l4_open_cache *open = l4_caching_open(loop, index);
    struct l4_cached *found = loop->http->caches->found;
    struct l4_caching *c = l4_caching_at(loop, index);
    const uint64_t serial = l4_growing_of(cache_of(loop, index), claim);
    struct l4_growing_read read;
    if (c->alone || !serial || serial == c->follow.refused || !patience_ms(loop, index))
        return L4_FOLLOW_NO;
    l4_caching_drop_read(loop, index);
    if (!find(loop, index, claim, &read))
        return L4_FOLLOW_NO;
    const bool dead = l4_ban_is_dead(loop->http->caches->bans, open->name, found);
    if (dead || !is_answer(loop, index, &read)) {
        l4_on_disk_close(loop, index);
        c->follow.refused = read.serial;
        return dead && found->hash == c->hash ? L4_FOLLOW_OUTDATED : L4_FOLLOW_NO;
    }
    c->waited = true;
    c->follow = (struct l4_follow){
        .read = read,
        .validator = validator_of(loop, found),
    };
    c->read = (struct l4_cache_read){found, 0};
    return L4_FOLLOW_ON;
}

/* ---- going on with another one's --------------------------------------------------------------
 */

/* Has an object the bytes of which the client has got a part? */
static bool is_same(const struct l4_loop *loop, uint32_t index, const struct l4_cached *object)
{
    const struct l4_caching *c = l4_caching_at(loop, index);
    if (object->body_bytes != c->total)
        return false;
    return object->serial == c->follow.read.serial ||
           (c->follow.validator && validator_of(loop, object) == c->follow.validator);
}

/* Goes on with an object that is stored. */
static bool take_stored(struct l4_loop *loop, uint32_t index)
{
    struct l4_caching *c = l4_caching_at(loop, index);
    const char *bytes = l4_http_block(loop->http, l4_exchange_at(loop, index)->block);
    if (!l4_caching_find(loop, index, bytes, &l4_serve_judged(loop, index)->head))
        return false;
    if (!is_same(loop, index, c->read.object)) {
        l4_caching_drop_read(loop, index);
        return false;
    }
    if (c->file)
        l4_cache_release(cache_of(loop, index), &c->read);
    c->pinned_ms = loop->now_ms;
    c->follow = (struct l4_follow){.read = {.serial = 0}};
    l4_row_wake_in(loop, index, L4_CACHE_PIN_MS);
    return true;
}

/* Goes on with what another one fetches. */
static bool take_growing(struct l4_loop *loop, uint32_t index, uint64_t claim)
{
    struct l4_caching *c = l4_caching_at(loop, index);
    struct l4_growing_read read;
    if (!find(loop, index, claim, &read))
        return false;
    if (read.serial == c->follow.read.serial || !is_answer(loop, index, &read) ||
        !is_same(loop, index, loop->http->caches->found)) {
        l4_on_disk_close(loop, index);
        return false;
    }
    c->follow.read = read;
    c->follow.filled = c->follow.lost_ms = 0;
    c->follow.over = false;
    return true;
}

/* What is read ends early, or stands still. */
static enum l4_follow_next go_on(struct l4_loop *loop, uint32_t index)
{
    struct l4_caching *c = l4_caching_at(loop, index);
    if (!c->follow.lost_ms)
        c->follow.lost_ms = loop->now_ms;
    l4_on_disk_close(loop, index);
    c->follow.over = true;
    if (!l4_caching_write_key(loop, index))
        return L4_FOLLOW_CUT;
    if (take_stored(loop, index))
        return L4_FOLLOW_MORE;
    const uint64_t claim = l4_cache_claim_of(cache_of(loop, index), c->hash, l4_caching_now_s());
    if (claim && take_growing(loop, index, claim))
        return L4_FOLLOW_WAIT;
    if (!c->follow.validator || loop->now_ms - c->follow.lost_ms >= patience_ms(loop, index))
        return L4_FOLLOW_CUT;
    if (!claim)
        l4_caching_refresh(loop, index);
    return L4_FOLLOW_WAIT;
}

/* Takes the claim away from who stands still. */
static void take_claim(struct l4_loop *loop, uint32_t index)
{
    const struct l4_caching *c = l4_caching_at(loop, index);
    struct l4_cache *cache = cache_of(loop, index);
    const uint64_t claim = l4_cache_claim_of(cache, c->hash, l4_caching_now_s());
    if (claim && l4_growing_of(cache, claim) == c->follow.read.serial)
        (void)l4_cache_revoke(cache, c->hash, claim);
}

/* ---- reading --------------------------------------------------------------------------------- */

enum l4_follow_next l4_follow_look(struct l4_loop *loop, uint32_t index)
{
    struct l4_caching *c = l4_caching_at(loop, index);
    uint64_t filled = 0, since_ms = 0;
    const enum l4_growing_state state =
        c->follow.over
            ? L4_GROWING_OVER
            : l4_growing_look(cache_of(loop, index), &c->follow.read, &filled, &since_ms);
    c->follow.filled = filled < c->total ? filled : c->total;
    if (state != L4_GROWING_OVER && c->follow.filled > c->at)
        return L4_FOLLOW_MORE;
    if (state == L4_GROWING_ON) {
        if (!c->follow.validator || loop->now_ms - since_ms < patience_ms(loop, index))
            return L4_FOLLOW_WAIT;
        take_claim(loop, index);
    }
    return go_on(loop, index);
}

size_t l4_follow_copy(struct l4_loop *loop, uint32_t index, char *to, size_t max)
{
    struct l4_caching *c = l4_caching_at(loop, index);
    const uint64_t left = c->end - c->at;
    const ssize_t copied = l4_growing_copy(cache_of(loop, index), &c->follow.read, c->at, to,
                                           left < max ? (size_t)left : max);
    c->follow.over = copied < 0 || (!copied && c->follow.filled > c->at);
    return copied > 0 ? (size_t)copied : 0;
}
