/* Limits of a listener and of each source, exact over all workers and after a worker's death.
 *
 * A source is known by its network and its listener. It has a place in a fixed table of groups of
 * eight, found by a keyed hash: one word holds the rest of the hash and how many sessions it has,
 * so that both are compared and changed in one step; beside it are its two token buckets
 * (core/rate.h). A place without sessions whose buckets are full can be given to another source.
 * Each worker has its own part of every count (shm/count.h).
 */
#ifndef L4_SHM_LIMITS_H
#define L4_SHM_LIMITS_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/bounds.h"

enum l4_refusal { L4_REFUSE_REJECT, L4_REFUSE_DROP, L4_REFUSE_TARPIT };

struct l4_verdict {           /* what a rule does with whom it is against; supervisor */
    _Atomic uint32_t refusal; /* enum l4_refusal */
    _Atomic uint32_t dry_run; /* 1: it only counts */
};

struct l4_limit {           /* supervisor */
    _Atomic uint64_t value; /* how many, or how many a second; 0: no limit */
    _Atomic uint64_t burst; /* of a rate: how many at once */
    struct l4_verdict verdict;
};

enum l4_limit_kind {
    L4_LIMIT_CONNECTIONS,
    L4_LIMIT_RATE,
    L4_LIMIT_SOURCE_CONNECTIONS,
    L4_LIMIT_SOURCE_RATE,
    L4_LIMIT_SESSION_BANDWIDTH, /* bytes a second, both directions together */
    L4_LIMIT_SOURCE_BANDWIDTH,
    L4_LIMITS
};

struct l4_limits { /* of one listener */
    struct l4_limit limits[L4_LIMITS];
    _Atomic uint32_t prefix4, prefix6; /* bits that tell sources apart */
    _Atomic uint32_t first_byte_ms;    /* 0: none */
    _Atomic uint32_t max_age_ms;       /* 0: none */
    _Atomic uint32_t age_jitter;       /* up to so many percent are taken off each max_age */
    _Atomic uint32_t head;             /* the row of one of its addresses, that has the counts */
    alignas(64) _Atomic uint32_t inflight; /* all, through shm/count.h */
    _Atomic uint64_t full_ns;              /* all: of the bucket of its rate */
};

enum { L4_SOURCE_COUNT_BITS = 24 };

struct l4_source_group {
    alignas(64) _Atomic uint64_t words[L4_SOURCE_WAYS]; /* all: tag << 24 | sessions */
    _Atomic uint64_t full_ns[L4_SOURCE_WAYS];           /* all: of the buckets of new connections */
    _Atomic uint64_t spent_ns[L4_SOURCE_WAYS];          /* all: ... of bytes */
};

#endif
