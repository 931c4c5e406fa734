/* The caches of a worker's HTTP plane, and what each session has of them.
 *
 * The memory of all caches is one file, which the supervisor makes before the workers start
 * (run/setup.h: cache_fd). A cache is opened when a request first names it; a listener without one
 * costs nothing. A row that was given to another cache is opened anew once no session uses the old
 * memory any more; until then its requests are answered without a cache.
 */
#ifndef L4_HTTP_CACHES_H
#define L4_HTTP_CACHES_H

#include <string.h>
#include <time.h>

#include "cache/ban.h"
#include "cache/disk.h"
#include "core/cache_key.h"
#include "core/http_texts.h"
#include "http/caching_row.h"
#include "http/room.h"
#include "shm/cache.h"

struct l4_open_cache {
    struct l4_cache cache;
    struct l4_disk disk;
    uint64_t disk_max; /* bytes of the largest body on disk; 0: there is no disk */
    void *memory;      /* NULL: there is none */
    uint64_t name;     /* by which purges name it */
    size_t bytes;
    uint32_t used;  /* what the row's `used` was when it was opened */
    uint32_t users; /* sessions that have it */
};

/* The names of cookies that a cache ignores, as they were when they were last copied. */
struct l4_ignored_cookies {
    uint32_t cache, generation; /* number of the cache, 0: none yet; of the texts */
    struct l4_name_list list;
    struct l4_text names[L4_CACHE_IGNORED_MAX];
    char bytes[L4_CACHE_IGNORED_MAX * L4_CACHE_IGNORED_NAME_MAX];
};

struct l4_caches {
    struct l4_open_cache open[L4_CACHES_MAX];
    struct l4_bans *bans;    /* NULL: not mapped yet */
    struct l4_caching *rows; /* one for each row of a TCP session */
    uint32_t *next;          /* of each block, the next one of its fill */
    uint64_t sweep_ms;       /* when to look next for caches that are gone */
    uint32_t fill_blocks;    /* blocks that fills have */
    struct l4_cached *found; /* what was read from a file last, and its texts */
    struct l4_ignored_cookies cookies;
    char key[L4_CACHE_KEY_MAX]; /* of the request that was looked at last */
    uint32_t key_bytes;
    struct l4_text pieces[L4_HTTP_BLOCKS / 2 + 1];
};

/* Returns 0 or -ENOMEM; l4_caches_finish frees in both cases. */
__attribute__((warn_unused_result)) int l4_caches_start(struct l4_loop *loop);
void l4_caches_finish(struct l4_loop *loop);

/* Opens a cache by its number, for one more session; NULL: there is none. */
struct l4_open_cache *l4_caches_join(struct l4_loop *loop, uint32_t number);

/* Closes the caches that are gone, as soon as no session has them. */
void l4_caches_sweep(struct l4_loop *loop);

static inline struct l4_caching *l4_caching_at(const struct l4_loop *loop, uint32_t index)
{
    return &loop->http->caches->rows[index];
}

/* The cache of a session that has one. */
static inline struct l4_open_cache *l4_caching_open(const struct l4_loop *loop, uint32_t index)
{
    return &loop->http->caches->open[l4_exchange_at(loop, index)->cache - 1];
}

static inline const struct l4_cache_rules *l4_caching_rules(const struct l4_loop *loop,
                                                            uint32_t index)
{
    return l4_table_cache(loop->table, l4_exchange_at(loop, index)->cache - 1u);
}

/* Its lists and names, in the texts that are read. */
static inline struct l4_cache_texts l4_caching_texts(const struct l4_loop *loop, uint32_t index,
                                                     const struct l4_texts *texts)
{
    return l4_texts_cache(texts, l4_exchange_at(loop, index)->cache - 1u);
}

static inline struct l4_cache_tally *l4_caching_tally(const struct l4_loop *loop, uint32_t index)
{
    return l4_table_cache_tally(loop->table, loop->setup.index,
                                l4_exchange_at(loop, index)->cache - 1u);
}

/* Returns the names of cookies that its cache ignores. They hold until a session of another cache
 * asks. */
const struct l4_name_list *l4_caching_cookies(const struct l4_loop *loop, uint32_t index);

/* Seconds since 1970. */
static inline int64_t l4_caching_now_s(void)
{
    return (int64_t)time(NULL);
}

#endif
