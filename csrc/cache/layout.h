/* The memory of one cache, shared by all workers.
 *
 * Each worker has a log of its own, which only it writes: there is no allocator that a death could
 * leave half done. A log has two rings, a small one for what is new and a main one for what was
 * asked for again (S3-FIFO: Yang, Zhang, Qiu, Yue and Rashmi, "FIFO queues are all you need for
 * cache eviction", SOSP 2023). An object lies in one piece, and is written whole before the index
 * names it. The index has one word for each object: all workers look there, and any of them may
 * take a word out.
 *
 * Readers say which part of a log they read from (`pins`): its owner does not write over an object
 * there. An object is out of the index before its owner looks at the pins, and a reader that has
 * pinned looks at the index again, so one of them always sees the other.
 */
#ifndef L4_CACHE_LAYOUT_H
#define L4_CACHE_LAYOUT_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/bounds.h"
#include "core/fresh.h"

enum {
    L4_CACHE_REGIONS = 64,        /* of one log: each has a bit in a word of pins */
    L4_CACHE_SMALL_REGIONS = 6,   /* ... of which the small ring has the first */
    L4_CACHE_WAYS = 16,           /* words of one bucket of the index */
    L4_CACHE_UNIT = 64,           /* objects begin and end at a multiple of it */
    L4_CACHE_USES_MAX = 3,        /* uses of an object that are counted */
    L4_CACHE_PURGED_WORDS = 4096, /* counts of purges, each for a part of all keys */
    L4_DISK_FOLDERS = 256,        /* in the folder of a cache on disk */
};

/* A word of the index: 24 bits of the key's hash, 8 bits of owner, 32 bits of place. An owner is a
 * worker, and the place is the object's in its log, in units; or one of these. */
enum l4_cache_owner {
    L4_CACHE_FILLING = 0xff, /* a worker fetches the object; the place is its claim */
    L4_CACHE_PASSING = 0xfe, /* not to be kept: nobody waits for another one's answer; the place is
                              * the time until which that holds, in seconds */
};

/* Who reads: each worker, whether it has a log or not, and one process that is no worker. */
enum { L4_CACHE_READERS = L4_WORKERS_MAX + 1, L4_CACHE_GUEST = L4_WORKERS_MAX };

struct l4_cache_header {
    uint64_t format; /* of this memory; another program may have another one */
    uint64_t bytes, log_bytes;
    uint64_t index_at, logs_at;
    uint64_t growing_at, growing_bytes; /* answers that are fetched; bytes of each worker */
    uint32_t logs;                      /* of the first workers; later ones store nothing */
    uint32_t buckets;
    uint64_t object_max; /* bytes of an object with all its texts */
};

/* Positions grow for ever; the place in the ring is the remainder. */
struct l4_cache_ring {
    _Atomic uint64_t at, tail;
};

enum { L4_CACHE_SMALL, L4_CACHE_MAIN, L4_CACHE_RINGS };

/* A reader's row. Written by it only; `epoch` and `pins` also by who has reaped it. */
struct l4_cache_worker {
    alignas(64) struct l4_cache_ring rings[L4_CACHE_RINGS];
    _Atomic uint64_t stored, evicted, moved, too_large, blocked;
    _Atomic uint32_t epoch;                /* claims of an earlier one are dead */
    _Atomic uint64_t pins[L4_WORKERS_MAX]; /* the regions of each log that this worker reads from */
};

/* What all workers and the keeper of the folder know of a cache's files (cache/disk.h). */
struct l4_disk_counts {
    alignas(64) _Atomic uint64_t used; /* bytes of all files; UINT64_MAX: not known yet */
    _Atomic int64_t
        pending[L4_DISK_FOLDERS]; /* of `used`, what came since the keeper looked there */
    _Atomic uint64_t reads, writes, errors;
    _Atomic uint32_t error; /* errno of the last one */
};

/* Behind the rows of all readers. */
struct l4_cache_shared {
    struct l4_disk_counts disk;
    _Atomic uint32_t purged[L4_CACHE_PURGED_WORDS];
};

/* Where the rows of all readers begin, and what is behind them. */
enum {
    L4_CACHE_WORKERS_AT =
        (sizeof(struct l4_cache_header) + L4_CACHE_UNIT - 1) / L4_CACHE_UNIT * L4_CACHE_UNIT,
    L4_CACHE_SHARED_AT = L4_CACHE_WORKERS_AT + L4_CACHE_READERS * sizeof(struct l4_cache_worker)
};

static inline struct l4_cache_worker *l4_cache_workers(void *memory)
{
    return (struct l4_cache_worker *)((char *)memory + L4_CACHE_WORKERS_AT);
}

static inline struct l4_cache_shared *l4_cache_shared(void *memory)
{
    return (struct l4_cache_shared *)((char *)memory + L4_CACHE_SHARED_AT);
}

/* One object. Behind it: key, Vary's values, tags, the answer's fields, the body; unless the body
 * is in a file. */
struct l4_cached {
    uint32_t units;             /* its size */
    uint8_t is_gap;             /* nothing: the rest of the ring was too short */
    _Atomic uint8_t uses, soft; /* soft: purged, but may be used until a new one is there */
    _Atomic uint64_t cleared;   /* number of the last purge that does not concern it */
    uint64_t hash, pool;
    struct l4_freshness freshness;
    uint16_t status, key_bytes, vary_bytes, tags_bytes;
    uint32_t head_bytes;
    uint64_t body_bytes;
    uint64_t file, marker; /* numbers of the file that has the body, and of its marker; 0: none */
    uint64_t serial;       /* under which it was announced (cache/growing.h); 0: it was not */
};

#endif
