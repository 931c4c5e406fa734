/* Maglev's consistent hashing table, weighted.
 *
 * Eisenbud et al., "Maglev: a fast and reliable software network load balancer", NSDI 2016,
 * section 3.4. Each member has a permutation of the slots, from its name alone; members take
 * turns to claim the next free slot of theirs, a member of weight w taking part in w of every
 * max(weight) turns. The table depends on the set of (name hash, weight) only, not on its order.
 */
#ifndef L4_CORE_MAGLEV_H
#define L4_CORE_MAGLEV_H

#include <stdint.h>

#include "base/bounds.h"

struct l4_maglev_member {
    uint64_t name_hash;
    uint32_t weight; /* 0: gets no slot */
    uint16_t backend;
    /* scratch */
    uint32_t at, skip;
    uint64_t due;
};

/* Fills slots[size] with backends; size is a prime of at most L4_MAGLEV_MAX. Reorders members.
 * taken: scratch of (size + 63) / 64 words. Returns size, or 0 if no member has weight. */
uint32_t l4_maglev_build(struct l4_maglev_member *members, uint32_t count, uint32_t size,
                         uint64_t *taken, uint16_t *slots);

#endif
