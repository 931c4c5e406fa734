#include "cache/store.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "cache/growing.h"
#include "cache/words.h"

enum {
    FORMAT_VERSION = 5,
    BYTES_AN_OBJECT = 2048, /* of the log, for the size of the index */
    MOVED_FACTOR = 4,       /* bytes that a store moves, by its own; then used objects go, too */
    MOVED_MORE = 64 << 10,  /* ... and these */
    RINGS_MIN = 4,          /* objects of the largest size that fit a ring */
};

/* ---- the memory --------------------------------------------------------------------------------
 */

static uint64_t up(uint64_t bytes, uint64_t to)
{
    return (bytes + to - 1) / to * to;
}

/* The layout as numbers: memory of another one must not be used. */
static uint64_t format(void)
{
    return 0x6c346c6263616368ull ^ ((uint64_t)sizeof(struct l4_cached) << 48) ^
           ((uint64_t)sizeof(struct l4_cache_worker) << 24) ^ FORMAT_VERSION;
}

static struct l4_cache_header planned(uint64_t memory, uint32_t logs, uint64_t object_max)
{
    struct l4_cache_header plan = {.format = format(), .logs = logs, .object_max = object_max};
    const uint64_t region = (uint64_t)L4_CACHE_REGIONS * L4_CACHE_UNIT;
    plan.log_bytes = memory / logs / region * region;
    plan.buckets = 1;
    while (plan.buckets < UINT32_MAX / 2 &&
           (uint64_t)plan.buckets * L4_CACHE_WAYS * BYTES_AN_OBJECT < plan.log_bytes * logs)
        plan.buckets *= 2;
    plan.index_at = up(L4_CACHE_SHARED_AT + sizeof(struct l4_cache_shared), L4_PAGE_BYTES);
    plan.logs_at = up(plan.index_at + (uint64_t)plan.buckets * L4_CACHE_WAYS * sizeof(uint64_t),
                      L4_PAGE_BYTES);
    plan.growing_at = up(plan.logs_at + plan.log_bytes * logs, L4_PAGE_BYTES);
    plan.growing_bytes = up(l4_growing_bytes(object_max), L4_PAGE_BYTES);
    plan.bytes = plan.growing_at + plan.growing_bytes * logs;
    return plan;
}

static uint64_t ring_start(uint64_t log_bytes, unsigned ring)
{
    const uint64_t region = log_bytes / L4_CACHE_REGIONS;
    return ring == L4_CACHE_MAIN ? region * L4_CACHE_SMALL_REGIONS : 0;
}

static uint64_t ring_bytes(uint64_t log_bytes, unsigned ring)
{
    const uint64_t small = ring_start(log_bytes, L4_CACHE_MAIN);
    return ring == L4_CACHE_MAIN ? log_bytes - small : small;
}

bool l4_cache_is_sound(const struct l4_cache_header *plan, uint64_t bytes)
{
    const uint64_t index = (uint64_t)plan->buckets * L4_CACHE_WAYS * sizeof(uint64_t);
    return plan->format == format() && plan->logs - 1 < L4_WORKERS_MAX && plan->buckets &&
           !(plan->buckets & (plan->buckets - 1)) && plan->index_at < bytes &&
           plan->index_at >= L4_CACHE_SHARED_AT + sizeof(struct l4_cache_shared) &&
           index <= bytes - plan->index_at && plan->logs_at < bytes &&
           plan->log_bytes <= (bytes - plan->logs_at) / plan->logs &&
           plan->log_bytes >= (uint64_t)L4_CACHE_REGIONS * L4_CACHE_UNIT &&
           plan->growing_at < bytes && plan->growing_at % L4_CACHE_UNIT == 0 &&
           plan->growing_bytes % L4_CACHE_UNIT == 0 &&
           plan->growing_bytes <= (bytes - plan->growing_at) / plan->logs &&
           plan->growing_bytes >= l4_growing_bytes(0);
}

uint64_t l4_cache_bytes(uint64_t memory, uint32_t logs, uint64_t object_max)
{
    const struct l4_cache_header plan = planned(memory, logs, object_max);
    return ring_bytes(plan.log_bytes, L4_CACHE_MAIN) / RINGS_MIN < object_max ? 0 : plan.bytes;
}

void l4_cache_format(void *at, uint64_t memory, uint32_t logs, uint64_t object_max)
{
    const struct l4_cache_header plan = planned(memory, logs, object_max);
    memcpy(at, &plan, sizeof plan);
    atomic_store(&l4_cache_shared(at)->disk.used, UINT64_MAX);
}

bool l4_cache_open(struct l4_cache *cache, void *memory, uint64_t bytes, uint32_t reader)
{
    struct l4_cache_header plan;
    if (bytes < sizeof plan || reader >= L4_CACHE_READERS)
        return false;
    memcpy(&plan, memory, sizeof plan);
    if (!l4_cache_is_sound(&plan, bytes))
        return false;
    *cache = (struct l4_cache){
        .header = memory,
        .log_bytes = plan.log_bytes,
        .object_max = plan.object_max,
        .log_count = plan.logs,
        .buckets = plan.buckets,
        .workers = l4_cache_workers(memory),
        .shared = l4_cache_shared(memory),
        .index = (_Atomic uint64_t *)((char *)memory + plan.index_at),
        .logs = (char *)memory + plan.logs_at,
        .growing = (char *)memory + plan.growing_at,
        .growing_bytes = plan.growing_bytes,
        .me = reader,
        .ghost_count = plan.buckets,
    };
    cache->self = &cache->workers[reader];
    cache->ghosts = calloc(cache->ghost_count, sizeof *cache->ghosts);
    if (!cache->ghosts)
        return false;
    l4_cache_forget(memory, reader);
    if (reader < cache->log_count)
        l4_growing_forget(cache);
    return true;
}

void l4_cache_close(struct l4_cache *cache)
{
    free(cache->ghosts);
    *cache = (struct l4_cache){0};
}

void l4_cache_forget(void *memory, uint32_t reader)
{
    struct l4_cache_worker *row = l4_cache_workers(memory) + reader;
    atomic_fetch_add(&row->epoch, 1);
    for (uint32_t i = 0; i < L4_WORKERS_MAX; i++)
        atomic_store(&row->pins[i], 0);
}

/* ---- rings -------------------------------------------------------------------------------------
 */

/* Positions and places of one ring of this worker. */
struct ring {
    struct l4_cache_ring *row;
    uint64_t start, bytes; /* in the log */
};

static struct ring ring_of(const struct l4_cache *cache, unsigned which)
{
    return (struct ring){&cache->self->rings[which], ring_start(cache->log_bytes, which),
                         ring_bytes(cache->log_bytes, which)};
}

static uint64_t position(const _Atomic uint64_t *at)
{
    return atomic_load_explicit(at, memory_order_relaxed); /* only this worker writes it */
}

static uint32_t place_of(const struct ring *ring, uint64_t at)
{
    return (uint32_t)((ring->start + at % ring->bytes) / L4_CACHE_UNIT);
}

static struct l4_cached *object_at(const struct l4_cache *cache, const struct ring *ring,
                                   uint64_t at)
{
    return l4_cache_at(cache, l4_word(0, cache->me, place_of(ring, at)));
}

/* True if somebody reads from the region in which an object begins. The object must be out of the
 * index. */
static bool is_pinned(const struct l4_cache *cache, uint32_t place)
{
    const uint64_t bit = 1ull << l4_cache_region(cache, place);
    for (uint32_t i = 0; i < L4_CACHE_READERS; i++) {
        if (atomic_load(&cache->workers[i].pins[cache->me]) & bit)
            return true;
    }
    return false;
}

static void note_ghost(struct l4_cache *cache, uint64_t hash)
{
    cache->ghosts[hash >> 8 & (cache->ghost_count - 1)] = (uint32_t)(hash >> 32);
}

static bool take_ghost(struct l4_cache *cache, uint64_t hash)
{
    uint32_t *ghost = &cache->ghosts[hash >> 8 & (cache->ghost_count - 1)];
    const bool found = *ghost == (uint32_t)(hash >> 32) && *ghost;
    if (found)
        *ghost = 0;
    return found;
}

static uint64_t bytes_of(const struct l4_cached *object)
{
    return (uint64_t)object->units * L4_CACHE_UNIT;
}

/* Returns how many bytes an object needs at the ring's end: those of a gap, too, if it does not fit
 * before the ring's end in memory. */
static uint64_t with_gap(const struct ring *ring, uint64_t bytes)
{
    const uint64_t rest = ring->bytes - position(&ring->row->at) % ring->bytes;
    return rest < bytes ? rest + bytes : bytes;
}

static uint64_t space(const struct ring *ring)
{
    return ring->bytes - (position(&ring->row->at) - position(&ring->row->tail));
}

/* Begins an object at the ring's end, for which there is space. */
static struct l4_cached *begin(const struct l4_cache *cache, const struct ring *ring,
                               uint64_t bytes)
{
    const uint64_t at = position(&ring->row->at), rest = ring->bytes - at % ring->bytes;
    if (rest < bytes) {
        struct l4_cached *gap = object_at(cache, ring, at);
        gap->units = (uint32_t)(rest / L4_CACHE_UNIT);
        gap->is_gap = 1;
        atomic_store_explicit(&ring->row->at, at + rest, memory_order_release);
    }
    return object_at(cache, ring, position(&ring->row->at));
}

/* Ends it: it is a part of the ring from here on. Returns its word. */
static uint64_t commit(const struct l4_cache *cache, const struct ring *ring, uint64_t hash,
                       uint64_t bytes)
{
    const uint64_t at = position(&ring->row->at);
    atomic_store_explicit(&ring->row->at, at + bytes, memory_order_release);
    return l4_word(hash, cache->me, place_of(ring, at));
}

/* ---- what leaves -------------------------------------------------------------------------------
 */

static bool make_room(struct l4_cache *cache, unsigned which, uint64_t bytes, uint64_t *budget);

/* why not as a whole: readers count their uses meanwhile. */
static void copy_object(struct l4_cached *to, const struct l4_cached *from, uint32_t uses)
{
    const size_t counted = offsetof(struct l4_cached, hash);
    /* why in this order: who meets a soft purge marks the object before it notes that. */
    const uint64_t cleared = atomic_load_explicit(&from->cleared, memory_order_acquire);
    const uint8_t soft = atomic_load_explicit(&from->soft, memory_order_relaxed);
    to->units = from->units;
    to->is_gap = 0;
    atomic_store_explicit(&to->uses, (uint8_t)uses, memory_order_relaxed);
    atomic_store_explicit(&to->soft, soft, memory_order_relaxed);
    atomic_store_explicit(&to->cleared, cleared, memory_order_relaxed);
    memcpy((char *)to + counted, (const char *)from + counted, bytes_of(from) - counted);
}

/* Moves an object that is in use to the end of the main ring, with fewer uses. Returns false if
 * there is no space. */
static bool move(struct l4_cache *cache, const struct l4_cached *object, uint64_t word,
                 uint32_t uses, uint64_t *budget)
{
    const struct ring main = ring_of(cache, L4_CACHE_MAIN);
    const uint64_t bytes = bytes_of(object);
    if (space(&main) < with_gap(&main, bytes))
        return false;
    struct l4_cached *copy = begin(cache, &main, bytes);
    copy_object(copy, object, uses);
    /* why not published anew if its word has gone: somebody has purged it meanwhile. */
    (void)l4_cache_replace(cache, object->hash, word, commit(cache, &main, object->hash, bytes));
    atomic_fetch_add_explicit(&cache->self->moved, 1, memory_order_relaxed);
    *budget -= bytes < *budget ? bytes : *budget;
    return true;
}

/* Takes what is at the ring's tail out of the index, or moves it. */
static void leave(struct l4_cache *cache, unsigned which, const struct l4_cached *object,
                  uint64_t word, uint64_t *budget)
{
    const uint32_t uses = atomic_load_explicit(&object->uses, memory_order_relaxed);
    const bool soft = atomic_load_explicit(&object->soft, memory_order_relaxed);
    if (uses && !soft && *budget) {
        if (which == L4_CACHE_SMALL) {
            const struct ring main = ring_of(cache, L4_CACHE_MAIN);
            if (make_room(cache, L4_CACHE_MAIN, with_gap(&main, bytes_of(object)), budget) &&
                move(cache, object, word, 0, budget))
                return;
        } else if (move(cache, object, word, uses - 1, budget)) {
            return;
        }
    }
    if (which == L4_CACHE_SMALL)
        note_ghost(cache, object->hash);
    if (l4_cache_withdraw(cache, object->hash, word))
        atomic_fetch_add_explicit(&cache->self->evicted, 1, memory_order_relaxed);
}

static bool is_named(const struct l4_cache *cache, const struct l4_cached *object, uint64_t word)
{
    const _Atomic uint64_t *bucket = l4_cache_bucket(cache, object->hash);
    for (uint32_t i = 0; i < L4_CACHE_WAYS; i++) {
        if (atomic_load_explicit(&bucket[i], memory_order_relaxed) == word)
            return true;
    }
    return false;
}

/* Frees what is at the tail. Returns false if somebody still reads it. */
static bool pop(struct l4_cache *cache, unsigned which, uint64_t *budget)
{
    const struct ring ring = ring_of(cache, which);
    const uint64_t tail = position(&ring.row->tail);
    const struct l4_cached *object = object_at(cache, &ring, tail);
    if (!object->is_gap) {
        const uint64_t word = l4_word(object->hash, cache->me, place_of(&ring, tail));
        if (is_named(cache, object, word))
            leave(cache, which, object, word, budget);
        if (is_pinned(cache, place_of(&ring, tail)))
            return false;
    }
    atomic_store_explicit(&ring.row->tail, tail + bytes_of(object), memory_order_release);
    return true;
}

/* Frees space for so many bytes. The main ring keeps space for one object more: that one that is
 * moved. */
static bool make_room(struct l4_cache *cache, unsigned which, uint64_t bytes, uint64_t *budget)
{
    const struct ring ring = ring_of(cache, which);
    const uint64_t more = which == L4_CACHE_MAIN ? 2 * cache->object_max : 0;
    while (space(&ring) < bytes + more) {
        if (!pop(cache, which, budget))
            return false;
    }
    return true;
}

/* ---- storing -----------------------------------------------------------------------------------
 */

/* Reads a body out of its file. */
static bool read_body(char *to, const struct l4_cache_new *new)
{
    for (uint64_t done = 0; done < new->fd_bytes;) {
        const ssize_t got =
            pread(new->fd, to + done, new->fd_bytes - done, (off_t)(new->fd_at + done));
        if (got <= 0)
            return false;
        done += (uint64_t)got;
    }
    return true;
}

char *l4_cache_write_head(struct l4_cached *to, const struct l4_cache_new *new, uint64_t body_bytes)
{
    const struct l4_text texts[] = {new->key, new->vary, new->tags, new->head};
    char *end = (char *)(to + 1);
    *to = (struct l4_cached){
        .hash = new->hash,
        .pool = new->pool,
        .cleared = new->cleared,
        .freshness = new->freshness,
        .status = (uint16_t) new->status,
        .key_bytes = (uint16_t) new->key.bytes,
        .vary_bytes = (uint16_t) new->vary.bytes,
        .tags_bytes = (uint16_t) new->tags.bytes,
        .head_bytes = (uint32_t) new->head.bytes,
        .body_bytes = body_bytes,
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        end = l4_text_copy(end, texts[i]);
    return end;
}

/* Returns false if the body cannot be read. */
static bool fill(struct l4_cached *object, const struct l4_cache_new *new, uint64_t bytes,
                 uint64_t body_bytes)
{
    char *to = l4_cache_write_head(object, new, body_bytes);
    object->units = (uint32_t)(bytes / L4_CACHE_UNIT);
    object->file = new->file;
    object->marker = new->marker;
    object->serial = new->serial;
    for (size_t i = 0; i < new->pieces; i++)
        to = l4_text_copy(to, new->body[i]);
    return !new->fd || read_body(to, new);
}

static bool is_too_large(const struct l4_cache *cache, const struct l4_cache_new *new,
                         uint64_t bytes)
{
    return bytes > cache->object_max || new->key.bytes > UINT16_MAX ||
           new->vary.bytes > UINT16_MAX || new->tags.bytes > UINT16_MAX;
}

/* Gives the words of the objects of this key that the new one replaces. */
static size_t find_old(struct l4_cache *cache, const struct l4_cache_new *new,
                       bool (*replaces)(void *, const struct l4_cached *), void *context,
                       uint64_t old[static L4_CACHE_WAYS])
{
    struct l4_cache_read read;
    size_t count = 0;
    for (uint32_t way = 0; l4_cache_next(cache, new->hash, new->key, &way, &read);) {
        if (read.object->pool == new->pool && replaces(context, read.object))
            old[count++] = read.word;
        l4_cache_release(cache, &read);
    }
    return count;
}

enum l4_cache_stored l4_cache_put(struct l4_cache *cache, const struct l4_cache_new *new,
                                  bool (*replaces)(void *context, const struct l4_cached *old),
                                  void *context)
{
    uint64_t body_bytes = new->fd_bytes, old[L4_CACHE_WAYS];
    for (size_t i = 0; i < new->pieces; i++)
        body_bytes += new->body[i].bytes;
    if (cache->me >= cache->log_count)
        return L4_CACHE_NO_LOG;
    const uint64_t texts = new->key.bytes + new->vary.bytes + new->tags.bytes + new->head.bytes;
    const uint64_t bytes =
        up(sizeof(struct l4_cached) + texts + (new->file ? 0 : body_bytes), L4_CACHE_UNIT);
    if (is_too_large(cache, new, bytes)) {
        atomic_fetch_add_explicit(&cache->self->too_large, 1, memory_order_relaxed);
        return L4_CACHE_TOO_LARGE;
    }
    const bool large = bytes > ring_bytes(cache->log_bytes, L4_CACHE_SMALL) / RINGS_MIN;
    const unsigned which = take_ghost(cache, new->hash) || large ? L4_CACHE_MAIN : L4_CACHE_SMALL;
    const struct ring ring = ring_of(cache, which);
    uint64_t budget = bytes * MOVED_FACTOR + MOVED_MORE;
    if (!make_room(cache, which, with_gap(&ring, bytes), &budget)) {
        atomic_fetch_add_explicit(&cache->self->blocked, 1, memory_order_relaxed);
        return L4_CACHE_BLOCKED;
    }
    const size_t count = find_old(cache, new, replaces, context, old);
    if (!fill(begin(cache, &ring, bytes), new, bytes, body_bytes))
        return L4_CACHE_UNREAD;
    const uint64_t word = commit(cache, &ring, new->hash, bytes);
    if (new->claim && !l4_cache_replace(cache, new->hash, new->claim, word))
        return L4_CACHE_OVERTAKEN;
    if (!new->claim)
        l4_cache_publish(cache, new->hash, count ? old[0] : 0, word);
    for (size_t i = new->claim ? 0 : 1; i < count; i++)
        l4_cache_withdraw(cache, new->hash, old[i]);
    atomic_fetch_add_explicit(&cache->self->stored, 1, memory_order_relaxed);
    return L4_CACHE_STORED;
}
