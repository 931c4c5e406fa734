/* How much of a pool's sessions a backend is due: its weight, and what its health makes of it. */
#ifndef L4_CORE_SHARE_H
#define L4_CORE_SHARE_H

#include "shm/layout.h"

/* The backend's weight in hundredths: what is configured, and what health adds or takes. */
static inline uint32_t l4_share(const struct l4_backend *b)
{
    const int64_t percent =
        100 + (int64_t)atomic_load_explicit(&b->weight_change, memory_order_relaxed);
    const int64_t share = percent * atomic_load_explicit(&b->weight, memory_order_relaxed);
    return share > 0 ? (uint32_t)share : 0;
}

#endif
