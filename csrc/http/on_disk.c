#include "http/on_disk.h"

#include <unistd.h>

#include "base/assert.h"
#include "core/vary.h"
#include "http/fill.h"
#include "run/row.h"

static struct l4_disk *disk_of(const struct l4_loop *loop, uint32_t index)
{
    return &l4_caching_open(loop, index)->disk;
}

static char *texts_of(const struct l4_loop *loop)
{
    return (char *)(loop->http->caches->found + 1);
}

/* Who answers. why not l4_caching.pool: a file outlives the secret of that hash. */
static uint64_t pool_of(const struct l4_loop *loop, uint32_t index)
{
    const char *name = l4_row_pool(loop, l4_session_at(loop, index))->name;
    return l4_hash_again(l4_hash(&disk_of(loop, index)->key, name, strlen(name)),
                         (uint64_t)l4_exchange_at(loop, index)->route + 1);
}

static void count_read(const struct l4_disk *disk)
{
    atomic_fetch_add_explicit(&disk->counts->reads, 1, memory_order_relaxed);
}

/* ---- looking --------------------------------------------------------------------------------- */

/* Opens the file that a request gets: that of its key or, if that is a marker, of its variant. Its
 * texts lie in texts_of. Returns the descriptor; below 0: there is none. *marker: of a variant. */
static int open_for(const struct l4_loop *loop, uint32_t index, const char *bytes,
                    const struct l4_h1_head *request, struct l4_disk_name *name,
                    struct l4_disk_head *head, uint64_t *marker)
{
    const struct l4_disk *disk = disk_of(loop, index);
    const struct l4_caches *caches = loop->http->caches;
    const struct l4_text key = {caches->key, caches->key_bytes};
    char *texts = texts_of(loop), said[L4_VARY_MAX];
    struct l4_text vary = {said, 0};
    l4_disk_name(disk, key, 0, vary, name);
    const int fd = l4_disk_open(disk, name, head, texts);
    *marker = 0;
    if (fd < 0 || !head->is_marker)
        return fd;
    close(fd);
    const struct l4_text fields = {texts + head->key_bytes, head->vary_bytes};
    if (!l4_vary_again(fields, bytes, request, l4_caching_cookies(loop, index), said, &vary.bytes))
        return -1;
    *marker = head->serial;
    l4_disk_name(disk, key, *marker, vary, name);
    return l4_disk_open(disk, name, head, texts);
}

/* Writes to caches->found what a file says of its object. Returns false if a purge has taken that
 * out. */
static bool read_object(struct l4_loop *loop, uint32_t index, const struct l4_disk_head *head)
{
    const struct l4_caches *caches = loop->http->caches;
    struct l4_cached *found = caches->found;
    uint64_t cleared;
    if (!l4_ban_of_stamp(caches->bans, head->stamp, &cleared))
        return false;
    *found = l4_disk_object(head);
    found->hash = l4_caching_at(loop, index)->hash;
    found->pool = l4_caching_at(loop, index)->pool; /* why: its hash has another secret here */
    atomic_store_explicit(&found->cleared, cleared, memory_order_relaxed);
    const uint64_t before = cleared; /* the object in memory meets soft purges itself */
    const bool dead = l4_ban_is_dead(caches->bans, l4_caching_open(loop, index)->name, found);
    atomic_store_explicit(&found->cleared, before, memory_order_relaxed);
    return !dead;
}

/* Is the object the answer to this request? */
static bool is_wanted(const struct l4_loop *loop, uint32_t index, const struct l4_disk_head *head,
                      const char *bytes, const struct l4_h1_head *request)
{
    const struct l4_caches *caches = loop->http->caches;
    const struct l4_text key = {caches->key, caches->key_bytes};
    return !head->is_marker && head->pool == pool_of(loop, index) &&
           l4_text_is(l4_cached_key(caches->found), key) &&
           l4_vary_fits(l4_cached_vary(caches->found), bytes, request,
                        l4_caching_cookies(loop, index));
}

/* Puts caches->found into memory: with its body, or, if that is too large, with the number of its
 * file. */
static bool put(struct l4_loop *loop, uint32_t index, int fd, const struct l4_disk_head *head,
                uint64_t marker)
{
    const struct l4_cached *found = loop->http->caches->found;
    const uint64_t whole = sizeof *found + l4_disk_body_at(head) + head->body_bytes;
    const bool fits = whole <= l4_caching_open(loop, index)->cache.object_max;
    const struct l4_cache_new new = {
        .hash = found->hash,
        .pool = found->pool,
        .cleared = found->cleared,
        .freshness = found->freshness,
        .status = found->status,
        .key = l4_cached_key(found),
        .vary = l4_cached_vary(found),
        .tags = l4_cached_tags(found),
        .head = l4_cached_head(found),
        .fd = fits ? fd : 0,
        .fd_at = l4_disk_body_at(head),
        .fd_bytes = head->body_bytes,
        .file = fits ? 0 : head->serial,
        .marker = marker,
    };
    return l4_fill_put(loop, index, &new) == L4_CACHE_STORED;
}

bool l4_on_disk_load(struct l4_loop *loop, uint32_t index, const char *bytes,
                     const struct l4_h1_head *request)
{
    const struct l4_disk *disk = disk_of(loop, index);
    struct l4_disk_head head;
    struct l4_disk_name name;
    uint64_t marker;
    struct l4_cache *cache = &l4_caching_open(loop, index)->cache;
    const uint64_t hash = l4_caching_at(loop, index)->hash;
    const uint32_t purges = l4_cache_purges(cache, hash);
    const int fd = disk->fd ? open_for(loop, index, bytes, request, &name, &head, &marker) : -1;
    if (fd < 0)
        return false;
    const bool alive = read_object(loop, index, &head);
    const bool loaded = alive && is_wanted(loop, index, &head, bytes, request) &&
                        put(loop, index, fd, &head, marker);
    close(fd);
    if (!alive)
        (void)l4_disk_remove(disk, &name);
    if (!loaded)
        return false;
    count_read(disk);
    if (l4_cache_purges(cache, hash) == purges)
        return true;
    /* The file was opened before it was removed. */
    l4_cache_purge(cache, hash, l4_cached_key(loop->http->caches->found), false);
    return false;
}

bool l4_on_disk_open(struct l4_loop *loop, uint32_t index)
{
    struct l4_caching *c = l4_caching_at(loop, index);
    const struct l4_cached *object = c->read.object;
    const struct l4_disk *disk = disk_of(loop, index);
    struct l4_disk_head head;
    struct l4_disk_name name;
    L4_ASSERT(object->file && !c->file);
    if (!disk->fd)
        return false;
    l4_disk_name(disk, l4_cached_key(object), object->marker, l4_cached_vary(object), &name);
    const int fd = l4_disk_open(disk, &name, &head, texts_of(loop));
    if (fd < 0)
        return false;
    if (head.serial != object->file || head.body_bytes != object->body_bytes) {
        close(fd);
        return false;
    }
    c->file = fd;
    c->file_at = l4_disk_body_at(&head);
    count_read(disk);
    return true;
}

void l4_on_disk_close(const struct l4_loop *loop, uint32_t index)
{
    struct l4_caching *c = l4_caching_at(loop, index);
    if (c->file)
        close(c->file);
    c->file = 0;
}

bool l4_on_disk_remove(const struct l4_loop *loop, uint32_t index, struct l4_text key)
{
    const struct l4_disk *disk = disk_of(loop, index);
    struct l4_disk_name name;
    if (!disk->fd)
        return false;
    l4_disk_name(disk, key, 0, (struct l4_text){NULL, 0}, &name);
    return l4_disk_remove(disk, &name);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Writes the marker of a key, which says by which fields its answers are told apart. Returns its
 * number; 0: it cannot be written. */
static uint64_t write_marker(const struct l4_loop *loop, uint32_t index, struct l4_text names,
                             const struct l4_disk_name *name)
{
    struct l4_disk *disk = disk_of(loop, index);
    const struct l4_fill *fill = &l4_caching_at(loop, index)->fill;
    struct l4_disk_writer writer;
    struct l4_disk_head head = {
        .pool = pool_of(loop, index),
        .is_marker = 1,
        .key_bytes = fill->key_bytes,
        .vary_bytes = fill->vary_bytes,
    };
    if (!l4_disk_begin(disk, name, &writer))
        return 0;
    if (!l4_disk_write(disk, &writer, names)) {
        l4_disk_abort(disk, &writer);
        return 0;
    }
    return l4_disk_end(disk, &writer, &head, names.at, name) ? head.serial : 0;
}

/* Finds the name that the session's answer gets: that of its key or, if it has Vary, one of those
 * that the key's marker stands for. Returns false if the marker cannot be written. */
static bool find_name(const struct l4_loop *loop, uint32_t index, const char *texts)
{
    const struct l4_disk *disk = disk_of(loop, index);
    struct l4_fill *fill = &l4_caching_at(loop, index)->fill;
    const struct l4_text key = {texts, fill->key_bytes};
    const struct l4_text vary = {texts + fill->key_bytes, fill->vary_bytes};
    struct l4_disk_head head;
    fill->marker = 0;
    l4_disk_name(disk, key, 0, vary, &fill->name);
    if (!vary.bytes)
        return true;
    const char *old = texts_of(loop);
    const int fd = l4_disk_open(disk, &fill->name, &head, texts_of(loop));
    if (fd >= 0)
        close(fd);
    const bool same =
        fd >= 0 && head.is_marker && head.pool == pool_of(loop, index) &&
        l4_vary_has_names((struct l4_text){old + head.key_bytes, head.vary_bytes}, vary);
    const struct l4_text names = {texts, key.bytes + vary.bytes};
    fill->marker = same ? head.serial : write_marker(loop, index, names, &fill->name);
    l4_disk_name(disk, key, fill->marker, vary, &fill->name);
    return fill->marker;
}

bool l4_on_disk_begin(struct l4_loop *loop, uint32_t index)
{
    struct l4_disk *disk = disk_of(loop, index);
    struct l4_fill *fill = &l4_caching_at(loop, index)->fill;
    const char *texts = l4_http_block(loop->http, fill->first);
    const size_t bytes =
        (size_t)fill->key_bytes + fill->vary_bytes + fill->tags_bytes + fill->head_bytes;
    if (!disk->fd || !find_name(loop, index, texts) ||
        !l4_disk_begin(disk, &fill->name, &fill->file))
        return false;
    if (l4_disk_write(disk, &fill->file, (struct l4_text){texts, bytes}))
        return true;
    l4_disk_abort(disk, &fill->file);
    return false;
}

bool l4_on_disk_write(const struct l4_loop *loop, uint32_t index, struct l4_text data)
{
    return l4_disk_write(disk_of(loop, index), &l4_caching_at(loop, index)->fill.file, data);
}

uint64_t l4_on_disk_end(const struct l4_loop *loop, uint32_t index)
{
    const struct l4_caching *c = l4_caching_at(loop, index);
    struct l4_fill *fill = &l4_caching_at(loop, index)->fill;
    struct l4_disk_head head = {
        .stamp = l4_ban_stamp(loop->http->caches->bans, c->cleared),
        .pool = pool_of(loop, index),
        .freshness = fill->freshness,
        .status = fill->status,
        .key_bytes = fill->key_bytes,
        .vary_bytes = fill->vary_bytes,
        .tags_bytes = fill->tags_bytes,
        .head_bytes = fill->head_bytes,
    };
    head.body_bytes = fill->file.at - l4_disk_body_at(&head);
    const char *texts = l4_http_block(loop->http, fill->first);
    return l4_disk_end(disk_of(loop, index), &fill->file, &head, texts, &fill->name) ? head.serial
                                                                                     : 0;
}

void l4_on_disk_abort(const struct l4_loop *loop, uint32_t index)
{
    l4_disk_abort(disk_of(loop, index), &l4_caching_at(loop, index)->fill.file);
}
