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

#include "cache/find.h"
#include "core/cache_key.h"
#include "core/fresh.h"
#include "core/http_texts.h"
#include "http/room.h"
#include "shm/cache.h"

/* What a session does with its cache. */
enum l4_caching_state {
    L4_CACHING_OFF,
    L4_CACHING_SEND,  /* an object is the answer */
    L4_CACHING_FETCH, /* the answer is to be kept */
    L4_CACHING_ASK,   /* ... unless the backend says that the object still holds */
    L4_CACHING_PASS,  /* it is asked for this client only */
    L4_CACHING_PURGE, /* an unsafe method: its answer takes objects out (RFC 9111, 4.4) */
};

/* How an object is an answer. */
enum l4_caching_form {
    L4_CACHED_WHOLE,
    L4_CACHED_NOT_MODIFIED, /* 304: the client has it */
    L4_CACHED_FAILED,       /* 412: a condition of the client does not hold */
    L4_CACHED_PART,         /* 206 */
    L4_CACHED_NO_PART       /* 416: the range is not in it */
};

/* Texts and body of an answer that is kept, in blocks. The first block has the texts, one behind
 * the other; the others are full, but for the last one. */
struct l4_fill {
    uint32_t first, last; /* L4_NONE: none */
    uint32_t last_bytes;
    uint32_t head_bytes;
    uint16_t status, key_bytes, vary_bytes, tags_bytes;
    uint64_t body_bytes;
    struct l4_freshness freshness;
};

/* The row beside each exchange, for one that has a cache (struct l4_exchange.cache). */
struct l4_caching {
    uint8_t state;       /* enum l4_caching_state */
    uint8_t form;        /* enum l4_caching_form */
    uint8_t unstorable;  /* enum l4_unstorable: why the answer is not kept */
    bool waited;         /* for another one's answer */
    bool kept;           /* the answer was stored */
    bool alone;          /* without a client: the object is asked for anew */
    uint64_t hash, pool; /* of the key; of who answers */
    uint64_t cleared;    /* number of the last purge when it was asked for */
    struct l4_cache_read read;
    struct l4_cache_claim claim;
    uint64_t at, end;   /* SEND: what is left of the body, as bytes of it */
    uint64_t total;     /* bytes of the whole body */
    uint32_t age_s;     /* when the answer was chosen */
    int32_t left_s;     /* of its lifetime then; negative: stale for so long */
    uint64_t pinned_ms; /* CLOCK_MONOTONIC: since when it is read in its place */
    struct l4_fill fill;
};

struct l4_open_cache {
    struct l4_cache cache;
    void *memory; /* NULL: there is none */
    size_t bytes;
    uint32_t used;  /* what the row's `used` was when it was opened */
    uint32_t users; /* sessions that have it */
};

struct l4_caches {
    struct l4_open_cache open[L4_CACHES_MAX];
    struct l4_caching *rows;    /* one for each row of a TCP session */
    uint32_t *next;             /* of each block, the next one of its fill */
    uint32_t fill_blocks;       /* blocks that fills have */
    char key[L4_CACHE_KEY_MAX]; /* of the request that was looked at last */
    uint32_t key_bytes;
    struct l4_text pieces[L4_HTTP_BLOCKS / 2 + 1];
};

/* Returns 0 or -ENOMEM; l4_caches_finish frees in both cases. */
__attribute__((warn_unused_result)) int l4_caches_start(struct l4_loop *loop);
void l4_caches_finish(struct l4_loop *loop);

/* Opens a cache by its number, for one more session; NULL: there is none. */
struct l4_open_cache *l4_caches_join(struct l4_loop *loop, uint32_t number);

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

static inline struct l4_cache_tally *l4_caching_tally(const struct l4_loop *loop, uint32_t index)
{
    return l4_table_cache_tally(loop->table, loop->setup.index,
                                l4_exchange_at(loop, index)->cache - 1u);
}

/* Seconds since 1970. */
static inline int64_t l4_caching_now_s(void)
{
    return (int64_t)time(NULL);
}

#endif
