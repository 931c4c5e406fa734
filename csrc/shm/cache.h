/* Caches in the shared table: the rules of each, where its memory is, and counts of what was
 * answered from it. The objects themselves are in a memory file beside the table (cache/layout.h).
 *
 * The supervisor writes the rules, workers read them. A worker writes its own counts.
 */
#ifndef L4_SHM_CACHE_H
#define L4_SHM_CACHE_H

#include <stdalign.h>

#include "shm/table.h"

/* What of a request names an object, besides its path. */
enum l4_cache_key_part { L4_KEY_SCHEME = 1, L4_KEY_HOSTNAME = 2, L4_KEY_ARGUMENTS = 4 };

/* A row keeps its memory as long as it is used: another size needs another row. Numbers of caches
 * elsewhere count from 1; 0 is none. Lists and names are in the texts (core/http_texts.h). */
struct l4_cache_rules {
    _Atomic uint32_t used; /* 0: free; else counts how often this row was given */
    char name[L4_NAME_MAX + 1];
    uint64_t at, bytes; /* its memory in the file; set before used */
    /* Its folder (cache/disk.h), set before used: the descriptor in every worker, 0: none; the
     * secret of its names; bytes of all files, and of the largest one. */
    int32_t disk_fd;
    uint8_t disk_key[16];
    uint64_t disk_size, disk_max_object;
    L4_CACHE_SETTINGS(L4_FIELD)
};

/* What a cache did for a request; the words of nginx's $upstream_cache_status. */
#define L4_CACHE_RESULTS(X)                                                                        \
    X(NONE, "-") /* no cache was asked */                                                          \
    X(HIT, "hit")                                                                                  \
    X(MISS, "miss")               /* the backend answered */                                       \
    X(EXPIRED, "expired")         /* ... because what was stored is too old */                     \
    X(REVALIDATED, "revalidated") /* the backend said that what was stored still holds */          \
    X(UPDATING, "updating")       /* stale, while it is asked for anew */                          \
    X(STALE, "stale")             /* stale, because the backend fails */                           \
    X(BYPASS, "bypass")           /* the request may not be answered from a cache */

enum l4_cache_result {
#define X(id, word) L4_CACHE_##id,
    L4_CACHE_RESULTS(X)
#undef X
        L4_CACHE_RESULT_COUNT
};

/* One worker's counts of one cache. */
struct l4_cache_tally {
    alignas(64) _Atomic uint64_t results[L4_CACHE_RESULT_COUNT]; /* requests */
    _Atomic uint64_t stored, refused; /* answers that were kept; that had no room */
    _Atomic uint64_t waited;          /* requests that waited for another one's answer */
    _Atomic uint64_t waited_in_vain;  /* ... and then went to the backend */
    _Atomic uint64_t bytes;           /* of bodies that were sent out of it */
    _Atomic uint64_t refreshed;       /* objects that were asked for in the background */
    _Atomic uint64_t purged;          /* objects taken out by unsafe requests and purges */
    _Atomic uint32_t opened; /* the row's `used` for which this worker has its memory; 0: it has
                              * none. The supervisor gives the memory of a row back that is not used
                              * any more, and that no worker has. */
};

L4_ROW(struct l4_cache_rules, l4_table_cache, caches_at, L4_CACHES_MAX)
L4_WORKER_ROW(struct l4_cache_tally, l4_table_cache_tally, cache_tallies_at, L4_CACHES_MAX)

#endif
