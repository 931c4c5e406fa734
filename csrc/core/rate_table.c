#include "core/rate_table.h"

#include <stdbool.h>
#include <stddef.h>

enum { TIME_BITS = 48 };
static const uint64_t time_mask = (1ull << TIME_BITS) - 1;

static uint64_t full_us(uint64_t word)
{
    return word & time_mask;
}

static uint64_t tag_of(uint64_t hash)
{
    const uint64_t tag = hash >> TIME_BITS << TIME_BITS;
    return tag ? tag : 1ull << TIME_BITS; /* a word of zeros has no key */
}

/* Returns the key's word, or one that is free for it; NULL: there is none. */
static _Atomic uint64_t *find(struct l4_rate_group *group, uint64_t tag, uint64_t now_us)
{
    _Atomic uint64_t *idle = NULL;
    for (int i = 0; i < L4_RATE_WAYS; i++) {
        const uint64_t word = atomic_load_explicit(&group->words[i], memory_order_relaxed);
        if ((word & ~time_mask) == tag)
            return &group->words[i];
        if (!idle && full_us(word) <= now_us)
            idle = &group->words[i];
    }
    return idle;
}

/* Returns for how long a bucket that is full again at `full` has no token. */
static uint64_t wait_of(uint64_t full, uint64_t now_us, struct l4_rate rate)
{
    const uint64_t lacks = (full > now_us ? full - now_us : 0) + rate.step_us;
    return lacks > rate.burst * rate.step_us ? lacks - rate.burst * rate.step_us : 0;
}

uint64_t l4_rate_table_wait_us(struct l4_rate_group *groups, uint32_t count, uint64_t hash,
                               uint64_t now_us, struct l4_rate rate)
{
    _Atomic uint64_t *place = find(&groups[hash % count], tag_of(hash), now_us);
    const uint64_t word = place ? atomic_load_explicit(place, memory_order_relaxed) : 0;
    return (word & ~time_mask) == tag_of(hash) ? wait_of(full_us(word), now_us, rate) : 0;
}

enum l4_rate_answer l4_rate_table_take(struct l4_rate_group *groups, uint32_t count, uint64_t hash,
                                       uint64_t now_us, struct l4_rate rate, uint64_t *wait_us)
{
    const uint64_t tag = tag_of(hash);
    struct l4_rate_group *group = &groups[hash % count];
    *wait_us = 0;
    for (;;) { /* it ends: each further round needs another worker's change of this very word */
        _Atomic uint64_t *place = find(group, tag, now_us);
        if (!place)
            return L4_RATE_UNCOUNTED;
        uint64_t word = atomic_load_explicit(place, memory_order_relaxed);
        const bool own = (word & ~time_mask) == tag;
        if (!own && full_us(word) > now_us)
            continue;
        const uint64_t from = own && full_us(word) > now_us ? full_us(word) : now_us;
        *wait_us = wait_of(from, now_us, rate);
        if (*wait_us)
            return L4_RATE_EMPTY;
        if (atomic_compare_exchange_weak_explicit(place, &word,
                                                  tag | ((from + rate.step_us) & time_mask),
                                                  memory_order_relaxed, memory_order_relaxed))
            return L4_RATE_TAKEN;
    }
}
