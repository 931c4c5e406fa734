/* Rates of many keys: a table of token buckets, found by a keyed hash.
 *
 * An entry is one word: 16 bits of the key's hash, and the time in microseconds at which its bucket
 * is full again (core/token_bucket.h). All processes share the table, and every change is one
 * compare and swap: so the rates are exact over all workers, and a death leaves them valid. An
 * entry whose bucket is full is free for another key. A key for which no entry of its group is free
 * is let through and not counted: only who has a hundred thousand keys can fill the table, and
 * limits for each key would not stop him.
 */
#ifndef L4_CORE_RATE_TABLE_H
#define L4_CORE_RATE_TABLE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/bounds.h"

struct l4_rate_group {
    alignas(64) _Atomic uint64_t words[L4_RATE_WAYS];
};

enum l4_rate_answer {
    L4_RATE_TAKEN,
    L4_RATE_EMPTY,    /* the bucket has no token: *wait_us says when it has one */
    L4_RATE_UNCOUNTED /* no entry was free */
};

/* How a bucket fills. */
struct l4_rate {
    uint64_t step_us; /* time in which one token comes back, at least 1 */
    uint64_t burst;   /* tokens of a full bucket, at least 1 */
};

/* Returns the rate of so many tokens a second; per_second is at least 1. */
static inline struct l4_rate l4_rate_of(uint64_t per_second, uint64_t burst)
{
    return (struct l4_rate){.step_us = per_second < 1000000 ? 1000000 / per_second : 1,
                            .burst = burst ? burst : 1};
}

/* Takes one token of the key's bucket. */
enum l4_rate_answer l4_rate_table_take(struct l4_rate_group *groups, uint32_t count, uint64_t hash,
                                       uint64_t now_us, struct l4_rate rate, uint64_t *wait_us);

/* Returns how long the key's bucket has no token; 0: it has one. Takes nothing. */
uint64_t l4_rate_table_wait_us(struct l4_rate_group *groups, uint32_t count, uint64_t hash,
                               uint64_t now_us, struct l4_rate rate);

#endif
