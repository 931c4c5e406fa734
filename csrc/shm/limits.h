/* Limits of a listener and of each source, exact over all workers and after a worker's death.
 *
 * A source is identified by its network and its listener. It has an entry in a fixed table with
 * groups of eight entries, which is found by a keyed hash. One word of the entry holds the rest of
 * the hash and the number of sessions, so that both are compared and changed in one step. Beside
 * this word are the source's two token buckets (core/token_bucket.h). An entry without sessions
 * whose buckets are full can be given to another source. Each worker has its own part of every
 * count (shm/count.h).
 */
#ifndef L4_SHM_LIMITS_H
#define L4_SHM_LIMITS_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/bounds.h"
#include "shm/settings.h"

enum l4_refusal { L4_REFUSE_REJECT, L4_REFUSE_DROP, L4_REFUSE_TARPIT };

/* What a rule does with clients that violate it. The supervisor writes it. */
struct l4_verdict {
    _Atomic uint32_t refusal; /* enum l4_refusal */
    _Atomic uint32_t dry_run; /* 1: the rule only counts */
};

/* One limit. The supervisor writes it. */
struct l4_limit {
    _Atomic uint64_t value; /* maximum number, or rate a second; 0: no limit */
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

/* The limits of one listener. */
struct l4_limits {
    struct l4_limit limits[L4_LIMITS];
    L4_LIMITS_SETTINGS(L4_FIELD)
    alignas(64) _Atomic uint32_t inflight; /* all, through shm/count.h */
    _Atomic uint64_t full_ns;              /* all: token bucket of the rate limit */
};

enum { L4_SOURCE_COUNT_BITS = 24 };

struct l4_source_group {
    alignas(64) _Atomic uint64_t words[L4_SOURCE_WAYS]; /* all: tag << 24 | number of sessions */
    _Atomic uint64_t full_ns[L4_SOURCE_WAYS];           /* all: token buckets of new connections */
    _Atomic uint64_t spent_ns[L4_SOURCE_WAYS];          /* all: token buckets of bytes */
};

#endif
