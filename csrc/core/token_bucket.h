/* A token bucket in one word: the generic cell rate algorithm (ITU-T I.371, annex A).
 *
 * The word is the time, in nanoseconds, at which the bucket is full again. All processes may
 * share it: each change is one compare and swap, so a death leaves the word valid. A time in the
 * past (0 too) is a full bucket. Pure: the time is an argument.
 */
#ifndef L4_CORE_TOKEN_BUCKET_H
#define L4_CORE_TOKEN_BUCKET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { L4_NS_PER_S = 1000000000 };

/* Returns the time in which one unit comes back at this rate. */
static inline uint64_t l4_rate_step_ns(uint64_t per_second)
{
    return per_second && per_second < L4_NS_PER_S ? L4_NS_PER_S / per_second : 1;
}

/* Takes one unit if the bucket, of `burst` units, has one. */
static inline bool l4_rate_take(_Atomic uint64_t *full_ns, uint64_t now_ns, uint64_t per_second,
                                uint64_t burst)
{
    const uint64_t step = l4_rate_step_ns(per_second);
    uint64_t full = atomic_load_explicit(full_ns, memory_order_relaxed), next;
    do {
        next = (full > now_ns ? full : now_ns) + step;
        if (next - now_ns > burst * step)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(full_ns, &full, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

/* Takes `units` that have been used already, even if the bucket does not have them. */
static inline void l4_rate_spend(_Atomic uint64_t *full_ns, uint64_t now_ns, uint64_t per_second,
                                 uint64_t units)
{
    const uint64_t cost = units * L4_NS_PER_S / per_second;
    uint64_t full = atomic_load_explicit(full_ns, memory_order_relaxed), next;
    do
        next = (full > now_ns ? full : now_ns) + cost;
    while (!atomic_compare_exchange_weak_explicit(full_ns, &full, next, memory_order_relaxed,
                                                  memory_order_relaxed));
}

/* Returns the nanoseconds until the bucket has a unit again; 0: it has one now. */
static inline uint64_t l4_rate_wait_ns(_Atomic uint64_t *full_ns, uint64_t now_ns,
                                       uint64_t burst_ns)
{
    const uint64_t full = atomic_load_explicit(full_ns, memory_order_relaxed);
    return full > now_ns + burst_ns ? full - now_ns - burst_ns : 0;
}

#endif
