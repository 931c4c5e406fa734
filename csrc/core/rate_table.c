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

enum l4_rate_answer l4_rate_table_take(struct l4_rate_group *groups, uint32_t count, uint64_t hash,
                                       uint64_t now_us, uint64_t rate, uint64_t burst,
                                       uint64_t *wait_us)
{
    const uint64_t tag = tag_of(hash), step = rate < 1000000 ? 1000000 / rate : 1;
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
        if (from + step - now_us > burst * step) {
            *wait_us = from + step - now_us - burst * step;
            return L4_RATE_EMPTY;
        }
        if (atomic_compare_exchange_weak_explicit(place, &word, tag | ((from + step) & time_mask),
                                                  memory_order_relaxed, memory_order_relaxed))
            return L4_RATE_TAKEN;
    }
}
