/* The busiest sources of one worker (top talkers): a sketch of fixed size.
 *
 * Space-Saving (Metwally, Agrawal and El Abbadi, ICDT 2005): a source that is not in the sketch
 * replaces the source with the least weight and takes over its weight. A source that makes more
 * than one in L4_TALKERS of the traffic is therefore always in the sketch. Weights are halved every
 * L4_TALKERS_HALF_MS, so the sketch is about recent traffic. The worker writes. Others read rows
 * while they change, and use a row if its `seq` was even and equal before and after.
 */
#ifndef L4_SHM_TALKERS_H
#define L4_SHM_TALKERS_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/bounds.h"

/* A source with much traffic. Its counts begin when it gets the row. */
struct l4_talker {
    _Atomic uint32_t seq;
    struct l4_addr addr; /* without port; an IPv6 source is a /64 */
    _Atomic uint64_t since_ms;
    _Atomic uint64_t sessions; /* sessions that have ended */
    _Atomic uint64_t rejected; /* ... and were turned away */
    _Atomic uint64_t bytes;    /* bytes in both directions together */
};

struct l4_talkers {
    alignas(64) uint64_t halved_ms;
    uint32_t tags[L4_TALKERS]; /* tags of the rows' addresses; 0: the row is free */
    uint32_t weights[L4_TALKERS];
    struct l4_talker rows[L4_TALKERS];
};

#endif
