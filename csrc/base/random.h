/* Random numbers for choices, not for secrets: splitmix64 (Steele, Lea and Flood, OOPSLA 2014). */
#ifndef L4_BASE_RANDOM_H
#define L4_BASE_RANDOM_H

#include "base/hash.h"

/* Returns the next number of the sequence whose state is *state. */
static inline uint64_t l4_random(uint64_t *state)
{
    return l4_hash_again(*state += 0x9e3779b97f4a7c15ull, 0);
}

#endif
