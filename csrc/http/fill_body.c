#include "http/fill_body.h"

#include "http/caching.h"
#include "http/fill.h"
#include "http/on_disk.h"

enum { FILL_BLOCKS_MAX = L4_HTTP_BLOCKS / 2 }; /* requests need the others */

/* ---- blocks ---------------------------------------------------------------------------------- */

/* Adds a block to the fill. Returns it; NULL: there is none. */
char *l4_fill_add_block(struct l4_loop *loop, struct l4_fill *fill)
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

/* Those that read the answer meanwhile have all of it, or get no more. */
void l4_fill_end_growing(struct l4_loop *loop, uint32_t index, bool whole)
{
    struct l4_fill *fill = &l4_caching_at(loop, index)->fill;
    if (fill->grows)
        l4_growing_end(&l4_caching_open(loop, index)->cache, fill->grows - 1, whole);
    fill->grows = 0;
}

void l4_fill_drop(struct l4_loop *loop, uint32_t index)
{
    struct l4_fill *fill = &l4_caching_at(loop, index)->fill;
    l4_fill_end_growing(loop, index, false);
    if (fill->file.fd)
        l4_on_disk_abort(loop, index);
    while (fill->first != L4_NONE)
        drop_block(loop, fill);
}

/* Puts bytes behind those that are there. Returns false if there is no block for all; *data is what
 * is left then. */
static bool put(struct l4_loop *loop, struct l4_fill *fill, struct l4_text *data, bool new_block)
{
    while (data->bytes) {
        if (new_block || fill->last_bytes == L4_HTTP_BLOCK_BYTES) {
            if (!l4_fill_add_block(loop, fill))
                return false;
            new_block = false;
        }
        const size_t room = L4_HTTP_BLOCK_BYTES - fill->last_bytes;
        const size_t n = data->bytes < room ? data->bytes : room;
        memcpy(l4_http_block(loop->http, fill->last) + fill->last_bytes, data->at, n);
        fill->last_bytes += (uint32_t)n;
        *data = l4_text_after(*data, n);
    }
    return true;
}

/* What the fill's texts say. */
struct l4_cache_new l4_fill_new(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_caching *c = l4_caching_at(loop, index);
    const struct l4_fill *fill = &c->fill;
    const struct l4_cache *cache = &l4_caching_open(loop, index)->cache;
    struct l4_cache_new new = {
        .hash = c->hash,
        .pool = c->pool,
        .claim = l4_cache_has_claim(cache, &c->claim) ? c->claim.word : 0,
        .cleared = c->cleared,
        .freshness = fill->freshness,
        .status = fill->status,
        .key = {l4_http_block(loop->http, fill->first), fill->key_bytes},
    };
    new.vary = (struct l4_text){new.key.at + new.key.bytes, fill->vary_bytes};
    new.tags = (struct l4_text){new.vary.at + new.vary.bytes, fill->tags_bytes};
    new.head = (struct l4_text){new.tags.at + new.tags.bytes, fill->head_bytes};
    new.serial = fill->grows ? l4_growing_serial(cache, fill->grows - 1) : 0;
    return new;
}

/* ---- where the body goes -----------------------------------------------------------------------
 */

/* Keeps a part of the body where the fill goes on: in the file, or where others read it. */
static bool keep(struct l4_loop *loop, uint32_t index, struct l4_text part)
{
    const struct l4_fill *fill = &l4_caching_at(loop, index)->fill;
    const struct l4_cache *cache = &l4_caching_open(loop, index)->cache;
    if (!fill->file.fd) {
        l4_growing_add(cache, fill->grows - 1, part, loop->now_ms);
        return true;
    }
    if (!l4_on_disk_write(loop, index, part))
        return false;
    if (fill->grows)
        l4_growing_note(cache, fill->grows - 1, fill->body_bytes, loop->now_ms);
    return true;
}

/* Keeps there what is in blocks so far. */
static bool move_on(struct l4_loop *loop, uint32_t index)
{
    struct l4_fill *fill = &l4_caching_at(loop, index)->fill;
    struct l4_caches *caches = loop->http->caches;
    const uint32_t texts = fill->first;
    bool kept = true;
    for (fill->first = caches->next[texts]; fill->first != L4_NONE; drop_block(loop, fill)) {
        const size_t bytes = fill->first == fill->last ? fill->last_bytes : L4_HTTP_BLOCK_BYTES;
        const struct l4_text part = {l4_http_block(loop->http, fill->first), bytes};
        kept = kept && keep(loop, index, part);
    }
    fill->first = fill->last = texts;
    caches->next[texts] = L4_NONE;
    fill->last_bytes = L4_HTTP_BLOCK_BYTES;
    return kept;
}

/* Goes on in a file. Returns false if there is none to be had. */
bool l4_fill_go_to_disk(struct l4_loop *loop, uint32_t index)
{
    return l4_on_disk_begin(loop, index) && move_on(loop, index);
}

/* Has others read the answer while it comes, if that is possible. why only one of known length:
 * that of another one could turn out too large to be kept for those that read it. */
void l4_fill_grow(struct l4_loop *loop, uint32_t index)
{
    struct l4_fill *fill = &l4_caching_at(loop, index)->fill;
    struct l4_cache_new new = l4_fill_new(loop, index);
    if (fill->grows || fill->body_bytes >= fill->length || fill->length == UINT64_MAX ||
        !L4_GET(l4_caching_rules(loop, index)->collapse_ms))
        return;
    new.fd_bytes = fill->length;
    const uint32_t row = l4_growing_begin(&l4_caching_open(loop, index)->cache, &new,
                                          fill->file.fd ? &fill->file : NULL, loop->now_ms);
    fill->grows = row == L4_NONE ? 0 : row + 1;
    if (!fill->grows)
        fill->length = UINT64_MAX;
    else if (!fill->file.fd)
        (void)move_on(loop, index);
}

/* ---- the body -------------------------------------------------------------------------------- */

void l4_fill_take(struct l4_loop *loop, uint32_t index, struct l4_text data)
{
    struct l4_fill *fill = &l4_caching_at(loop, index)->fill;
    const uint64_t max = L4_GET(l4_caching_rules(loop, index)->max_object);
    if (fill->first == L4_NONE)
        return;
    fill->body_bytes += data.bytes;
    if (fill->grows && !fill->file.fd) {
        (void)keep(loop, index, data);
        return;
    }
    const bool on_disk = l4_on_disk_takes(loop, index, fill->body_bytes);
    if (!fill->file.fd && fill->body_bytes <= max && put(loop, fill, &data, false)) {
        l4_fill_grow(loop, index);
        return;
    }
    if (on_disk && (fill->file.fd || l4_fill_go_to_disk(loop, index)) && keep(loop, index, data))
        return;
    l4_fill_drop(loop, index);
    l4_caching_end_claim(loop, index, fill->body_bytes > max && !on_disk);
}

/* ---- an object that is read for long --------------------------------------------------------- */

bool l4_fill_unpin(struct l4_loop *loop, uint32_t index)
{
    struct l4_caching *c = l4_caching_at(loop, index);
    const struct l4_text body = l4_cached_body(c->read.object);
    struct l4_text rest = {body.at + c->at, c->end - c->at};
    if (!put(loop, &c->fill, &rest, true)) {
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
