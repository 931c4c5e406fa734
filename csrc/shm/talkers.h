/* The sources that keep one worker busiest: a sketch of fixed size.
 *
 * Space-Saving (Metwally, Agrawal and El Abbadi, ICDT 2005): a source that is not among those kept
 * takes the place of the least, with its weight. So whoever makes more than one in L4_TALKERS of
 * what comes is among them. Weights are halved every L4_TALKERS_HALF_MS, so that it is of lately.
 * The worker writes; others read rows while they change and trust those whose `seq` is even and the
 * same before and after.
 */
#ifndef L4_SHM_TALKERS_H
#define L4_SHM_TALKERS_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/bounds.h"

struct l4_talker { /* counted since this source was given the row */
    _Atomic uint32_t seq;
    struct l4_addr addr; /* without port; an IPv6 source is its /64 */
    _Atomic uint64_t since_ms;
    _Atomic uint64_t sessions; /* that have ended */
    _Atomic uint64_t rejected; /* ... those turned away among them */
    _Atomic uint64_t bytes;    /* ... both directions together */
};

struct l4_talkers {
    alignas(64) uint64_t halved_ms;
    uint32_t tags[L4_TALKERS]; /* of the rows' addresses; 0: the row is free */
    uint32_t weights[L4_TALKERS];
    struct l4_talker rows[L4_TALKERS];
};

#endif
