#include "cache/growing.h"

#include <unistd.h>

#include "base/assert.h"
#include "cache/words.h"

enum { SERIAL_WORKER_SHIFT = 56, SERIAL_EPOCH_SHIFT = 40, SERIAL_EPOCHS = 0xffff };

static const uint64_t ROWS_BYTES = L4_GROWING_ROWS * sizeof(struct l4_growing);

static uint64_t up(uint64_t bytes)
{
    return (bytes + L4_CACHE_UNIT - 1) / L4_CACHE_UNIT * L4_CACHE_UNIT;
}

uint64_t l4_growing_bytes(uint64_t object_max)
{
    const uint64_t wanted = object_max * L4_GROWING_OBJECTS;
    const uint64_t most = object_max > L4_GROWING_BYTES_MAX ? object_max : L4_GROWING_BYTES_MAX;
    return ROWS_BYTES + up(wanted < most ? wanted : most);
}

/* The rows of a worker; behind them are the bodies. */
static struct l4_growing *rows_of(const struct l4_cache *cache, uint32_t worker)
{
    return (struct l4_growing *)(cache->growing + worker * cache->growing_bytes);
}

static char *bodies_of(const struct l4_cache *cache, uint32_t worker)
{
    return (char *)(rows_of(cache, worker) + L4_GROWING_ROWS);
}

static uint64_t bodies_bytes(const struct l4_cache *cache)
{
    return cache->growing_bytes - ROWS_BYTES;
}

static struct l4_growing *own_row(const struct l4_cache *cache, uint32_t row)
{
    L4_ASSERT(row < L4_GROWING_ROWS && cache->me < cache->log_count);
    return rows_of(cache, cache->me) + row;
}

static uint64_t serial_of(const struct l4_growing *one)
{
    return atomic_load_explicit(&one->serial, memory_order_relaxed);
}

static bool is_on(const struct l4_growing *one)
{
    return serial_of(one) &&
           atomic_load_explicit(&one->state, memory_order_relaxed) == L4_GROWING_ON;
}

/* ---- the writer ------------------------------------------------------------------------------ */

/* An answer whose place is needed is there no more. */
static void forget(struct l4_growing *one)
{
    atomic_store_explicit(&one->serial, 0, memory_order_relaxed);
    atomic_thread_fence(memory_order_release); /* before what is written in its place */
}

void l4_growing_forget(const struct l4_cache *cache)
{
    for (uint32_t i = 0; i < L4_GROWING_ROWS; i++)
        forget(own_row(cache, i));
}

/* Returns a row without an answer, or that of the oldest one that has ended; NULL: none. */
static struct l4_growing *find_row(const struct l4_cache *cache)
{
    struct l4_growing *best = NULL;
    for (uint32_t i = 0; i < L4_GROWING_ROWS; i++) {
        struct l4_growing *one = own_row(cache, i);
        if (!is_on(one) && (!best || serial_of(one) < serial_of(best)))
            best = one;
    }
    return best;
}

/* Does the answer need bytes of this place? */
static bool overlaps(const struct l4_growing *one, uint64_t at, uint64_t bytes)
{
    return serial_of(one) && !one->pid && one->at < at + bytes &&
           at < one->at + one->object.body_bytes;
}

/* Finds a place for a body behind that of the last one, or at the begin. Returns false if others
 * grow there. */
static bool find_place(const struct l4_cache *cache, uint64_t bytes, uint64_t *at)
{
    const uint64_t size = bodies_bytes(cache);
    if (bytes > size)
        return false;
    for (uint32_t tries = 0; tries < 2 * L4_GROWING_ROWS; tries++) {
        const struct l4_growing *in_the_way = NULL;
        if (*at > size - bytes)
            *at = 0;
        for (uint32_t i = 0; i < L4_GROWING_ROWS && !in_the_way; i++) {
            const struct l4_growing *one = own_row(cache, i);
            if (is_on(one) && overlaps(one, *at, bytes))
                in_the_way = one;
        }
        if (!in_the_way)
            return true;
        *at = up(in_the_way->at + in_the_way->object.body_bytes);
    }
    return false;
}

static uint64_t next_serial(struct l4_cache *cache)
{
    const uint64_t epoch = atomic_load(&cache->self->epoch) & SERIAL_EPOCHS;
    return (uint64_t)cache->me << SERIAL_WORKER_SHIFT | epoch << SERIAL_EPOCH_SHIFT |
           ++cache->grown;
}

static void write_row(struct l4_growing *one, const struct l4_cache_new *new, uint64_t at,
                      const struct l4_disk_writer *file)
{
    one->folder = file ? file->folder : 0;
    one->pid = file ? (int32_t)getpid() : 0;
    one->file = file ? file->serial : 0;
    one->claim = new->claim;
    one->at = at;
    l4_cache_write_head(&one->object, new, new->fd_bytes);
}

uint32_t l4_growing_begin(struct l4_cache *cache, const struct l4_cache_new *new,
                          const struct l4_disk_writer *file, uint64_t now_ms)
{
    const size_t texts = new->key.bytes + new->vary.bytes + new->tags.bytes + new->head.bytes;
    uint64_t at = cache->grow_at;
    if (cache->me >= cache->log_count || texts > L4_GROWING_TEXTS_MAX || !new->claim)
        return L4_NONE;
    struct l4_growing *one = find_row(cache);
    if (!one || (!file && !find_place(cache, new->fd_bytes, &at)))
        return L4_NONE;
    forget(one);
    for (uint32_t i = 0; !file && i < L4_GROWING_ROWS; i++) {
        if (overlaps(own_row(cache, i), at, new->fd_bytes))
            forget(own_row(cache, i));
    }
    if (!file)
        cache->grow_at = at + up(new->fd_bytes);
    write_row(one, new, file ? 0 : at, file);
    atomic_store_explicit(&one->filled, 0, memory_order_relaxed);
    atomic_store_explicit(&one->filled_ms, now_ms, memory_order_relaxed);
    atomic_store_explicit(&one->state, L4_GROWING_ON, memory_order_relaxed);
    atomic_store_explicit(&one->serial, next_serial(cache), memory_order_release);
    return (uint32_t)(one - rows_of(cache, cache->me));
}

void l4_growing_add(const struct l4_cache *cache, uint32_t row, struct l4_text data,
                    uint64_t now_ms)
{
    struct l4_growing *one = own_row(cache, row);
    const uint64_t filled = atomic_load_explicit(&one->filled, memory_order_relaxed);
    L4_ASSERT(is_on(one) && !one->pid && data.bytes <= one->object.body_bytes - filled);
    l4_text_copy(bodies_of(cache, cache->me) + one->at + filled, data);
    l4_growing_note(cache, row, filled + data.bytes, now_ms);
}

void l4_growing_note(const struct l4_cache *cache, uint32_t row, uint64_t filled, uint64_t now_ms)
{
    struct l4_growing *one = own_row(cache, row);
    atomic_store_explicit(&one->filled_ms, now_ms, memory_order_relaxed);
    atomic_store_explicit(&one->filled, filled, memory_order_release);
}

struct l4_text l4_growing_body(const struct l4_cache *cache, uint32_t row)
{
    const struct l4_growing *one = own_row(cache, row);
    return (struct l4_text){bodies_of(cache, cache->me) + one->at,
                            atomic_load_explicit(&one->filled, memory_order_relaxed)};
}

uint64_t l4_growing_serial(const struct l4_cache *cache, uint32_t row)
{
    return serial_of(own_row(cache, row));
}

void l4_growing_end(const struct l4_cache *cache, uint32_t row, bool whole)
{
    atomic_store_explicit(&own_row(cache, row)->state, whole ? L4_GROWING_WHOLE : L4_GROWING_LOST,
                          memory_order_release);
}

/* ---- a reader -------------------------------------------------------------------------------- */

static uint32_t epoch_of(const struct l4_cache *cache, uint32_t worker)
{
    return atomic_load(&cache->workers[worker].epoch);
}

/* Finds the row of a claim. Returns NULL if there is none. */
static struct l4_growing *row_of(const struct l4_cache *cache, uint64_t claim, uint32_t *worker)
{
    *worker = l4_word_place(claim) >> 24; /* find.c: claim_of */
    if (l4_word_owner(claim) != L4_CACHE_FILLING || *worker >= cache->log_count)
        return NULL;
    for (uint32_t i = 0; i < L4_GROWING_ROWS; i++) {
        struct l4_growing *one = rows_of(cache, *worker) + i;
        if (is_on(one) && one->claim == claim)
            return one;
    }
    return NULL;
}

uint64_t l4_growing_of(const struct l4_cache *cache, uint64_t claim)
{
    uint32_t worker;
    const struct l4_growing *one = row_of(cache, claim, &worker);
    return one ? serial_of(one) : 0;
}

/* Is what was read since then of this answer? */
static bool is_still(const struct l4_growing *one, uint64_t serial)
{
    atomic_thread_fence(memory_order_acquire);
    return serial && serial_of(one) == serial;
}

bool l4_growing_find(const struct l4_cache *cache, uint64_t claim, struct l4_cached *to,
                     size_t to_bytes, struct l4_growing_read *read)
{
    uint32_t worker;
    const struct l4_growing *one = row_of(cache, claim, &worker);
    if (!one)
        return false;
    const uint64_t serial = atomic_load_explicit(&one->serial, memory_order_acquire);
    *read = (struct l4_growing_read){serial, worker, (uint32_t)(one - rows_of(cache, worker)),
                                     epoch_of(cache, worker)};
    memcpy(to, &one->object, sizeof *to);
    const size_t texts =
        (size_t)to->key_bytes + to->vary_bytes + to->tags_bytes + (size_t)to->head_bytes;
    if (texts > L4_GROWING_TEXTS_MAX || texts > to_bytes - sizeof *to)
        return false;
    memcpy(to + 1, one->texts, texts);
    return one->claim == claim && is_still(one, serial);
}

enum l4_growing_state l4_growing_look(const struct l4_cache *cache,
                                      const struct l4_growing_read *read, uint64_t *filled,
                                      uint64_t *since_ms)
{
    const struct l4_growing *one = rows_of(cache, read->worker) + read->row;
    /* why in this order: the last bytes come before the end is told. */
    const uint32_t state = atomic_load_explicit(&one->state, memory_order_acquire);
    *filled = atomic_load_explicit(&one->filled, memory_order_acquire);
    *since_ms = atomic_load_explicit(&one->filled_ms, memory_order_relaxed);
    if (!is_still(one, read->serial))
        return L4_GROWING_OVER;
    return state == L4_GROWING_ON && epoch_of(cache, read->worker) != read->epoch
               ? L4_GROWING_OVER
               : (enum l4_growing_state)state;
}

ssize_t l4_growing_copy(const struct l4_cache *cache, const struct l4_growing_read *read,
                        uint64_t at, char *to, size_t max)
{
    const struct l4_growing *one = rows_of(cache, read->worker) + read->row;
    const uint64_t size = bodies_bytes(cache), place = one->at;
    const uint64_t filled = atomic_load_explicit(&one->filled, memory_order_acquire);
    if (!is_still(one, read->serial) || filled > size || place > size - filled)
        return -1;
    const uint64_t left = at < filled ? filled - at : 0;
    const size_t bytes = left < max ? (size_t)left : max;
    memcpy(to, bodies_of(cache, read->worker) + place + at, bytes);
    return is_still(one, read->serial) ? (ssize_t)bytes : -1;
}

int l4_growing_open(const struct l4_cache *cache, const struct l4_growing_read *read,
                    const struct l4_disk *disk, uint64_t *body_at)
{
    const struct l4_growing *one = rows_of(cache, read->worker) + read->row;
    const struct l4_disk_writer file = {.folder = one->folder, .serial = one->file};
    const int32_t pid = one->pid;
    const struct l4_disk_head head = {.key_bytes = one->object.key_bytes,
                                      .vary_bytes = one->object.vary_bytes,
                                      .tags_bytes = one->object.tags_bytes,
                                      .head_bytes = one->object.head_bytes};
    if (!is_still(one, read->serial))
        return -1;
    if (!pid)
        return 0;
    *body_at = l4_disk_body_at(&head);
    return l4_disk_open_unfinished(disk, &file, pid);
}
