/* A cache's memory, and the objects that a worker stores in it. */
#ifndef L4_CACHE_STORE_H
#define L4_CACHE_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"
#include "cache/layout.h"

/* A cache as one worker sees it. What says where something lies is its own copy: another process
 * that was taken over can write to the header, and must not lead this one out of the memory. */
struct l4_cache {
    struct l4_cache_header *header;
    uint64_t log_bytes, object_max;
    uint32_t log_count, buckets;
    struct l4_cache_worker *workers, *self;
    struct l4_cache_shared *shared;
    _Atomic uint64_t *index;
    char *logs, *growing;
    uint64_t growing_bytes;  /* of one worker (cache/growing.h) */
    uint64_t grow_at, grown; /* of this worker: where the next body goes; answers so far */
    uint32_t me;
    uint32_t claims;      /* made by this worker; part of the next one */
    uint32_t *ghosts;     /* hashes of objects that left the small ring unused */
    uint32_t ghost_count; /* a power of two */
    uint32_t held[L4_WORKERS_MAX][L4_CACHE_REGIONS]; /* reads under way */
};

/* Returns the bytes that a cache of this memory takes with its index; 0: object_max does not fit.
 * logs: how many workers store. */
uint64_t l4_cache_bytes(uint64_t memory, uint32_t logs, uint64_t object_max);

/* Makes an empty cache there, where all is zero. The others are as told to l4_cache_bytes. */
void l4_cache_format(void *at, uint64_t memory, uint32_t logs, uint64_t object_max);

/* Returns whether all parts that a copied header names lie in its memory. */
bool l4_cache_is_sound(const struct l4_cache_header *plan, uint64_t bytes);

/* Opens a cache for a worker, or for L4_CACHE_GUEST. Returns false if the memory has another
 * format, or if there is no memory. */
bool l4_cache_open(struct l4_cache *cache, void *memory, uint64_t bytes, uint32_t reader);
void l4_cache_close(struct l4_cache *cache);

/* Forgets what a dead worker read and fetched; what it stored stays. */
void l4_cache_forget(void *memory, uint32_t reader);

/* ---- objects -----------------------------------------------------------------------------------
 */

/* What is stored. pool: a hash of who answers; objects of several pools never mix. */
struct l4_cache_new {
    uint64_t hash, pool;
    uint64_t claim;   /* word of the caller's claim, which becomes the object; 0: it has none */
    uint64_t cleared; /* number of the last purge when the answer was asked for */
    struct l4_freshness freshness;
    unsigned status;
    struct l4_text key, vary, tags, head;
    const struct l4_text *body; /* pieces */
    size_t pieces;
    /* The body is in a file: `fd` is not 0, and it is copied from there; or it stays there, in the
     * file of this number. */
    int fd;
    uint64_t fd_at, fd_bytes;
    uint64_t file, marker;
    uint64_t serial; /* under which it was announced; 0: it was not */
};

/* Writes the head of an object, and its texts behind it. The caller fills in what is of its place.
 * Returns where the body begins. */
char *l4_cache_write_head(struct l4_cached *to, const struct l4_cache_new *new,
                          uint64_t body_bytes);

enum l4_cache_stored {
    L4_CACHE_STORED,
    L4_CACHE_TOO_LARGE,
    L4_CACHE_BLOCKED,   /* somebody still reads what would be written over */
    L4_CACHE_NO_LOG,    /* this worker stores nothing */
    L4_CACHE_OVERTAKEN, /* the claim is gone: what was fetched may be older than a purge */
    L4_CACHE_UNREAD,    /* the file with the body could not be read */
};

/* Stores an object. It replaces those that `replaces` says yes to, of the same key. */
enum l4_cache_stored l4_cache_put(struct l4_cache *cache, const struct l4_cache_new *new,
                                  bool (*replaces)(void *context, const struct l4_cached *old),
                                  void *context);

#endif
