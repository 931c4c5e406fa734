/* Maglev's consistent hashing table, with weights.
 *
 * Eisenbud et al., "Maglev: a fast and reliable software network load balancer", NSDI 2016,
 * section 3.4. Each member has a permutation of the slots, which depends only on its name.
 * Members take turns to claim their next free slot. A member of weight w takes part in w of every
 * max(weight) turns. The table depends only on the set of (name hash, weight), not on the order
 * of members.
 */
#ifndef L4_CORE_MAGLEV_H
#define L4_CORE_MAGLEV_H

#include <stdint.h>

#include "base/bounds.h"

struct l4_maglev_member {
    uint64_t name_hash;
    uint32_t weight; /* 0: no slots */
    uint16_t backend;
    /* scratch */
    uint32_t at, skip;
    uint64_t due;
};

/* Fills slots[size] with backends; size is a prime of at most L4_MAGLEV_MAX. Reorders members.
 * taken is scratch of (size + 63) / 64 words. Returns size, or 0 if no member has weight. */
uint32_t l4_maglev_build(struct l4_maglev_member *members, uint32_t count, uint32_t size,
                         uint64_t *taken, uint16_t *slots);

#endif
