/* The weight of a backend after health has changed it. */
#ifndef L4_CORE_EFFECTIVE_WEIGHT_H
#define L4_CORE_EFFECTIVE_WEIGHT_H

#include "shm/layout.h"

/* Returns the configured weight in hundredths, changed by the percentage of health. */
static inline uint32_t l4_share(const struct l4_backend *b)
{
    const int64_t percent =
        100 + (int64_t)atomic_load_explicit(&b->weight_change, memory_order_relaxed);
    const int64_t share = percent * atomic_load_explicit(&b->weight, memory_order_relaxed);
    return share > 0 ? (uint32_t)share : 0;
}

#endif
