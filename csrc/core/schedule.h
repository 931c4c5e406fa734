/* The smooth weighted round-robin schedule of a pool.
 *
 * The sequence nginx's algorithm (commit 52327e0627f4, 2012) would give, written out once per
 * change instead of computed per pick: at each slot every member's credit grows by its weight, the
 * largest credit is chosen and pays the sum of all weights. One period has sum(weights) / gcd slots
 * and each member exactly weight / gcd of them, spread evenly. Workers then share one ticket
 * counter, so the order is exact over all of them, and a member that is unusable for a while is
 * stepped over without changing the others' shares.
 */
#ifndef L4_CORE_SCHEDULE_H
#define L4_CORE_SCHEDULE_H

#include <stdint.h>

#include "base/bounds.h"

/* Fills slots with member numbers 0..members-1 and returns how many it filled, 0 if all weights
 * are 0. If a period would be longer than L4_SLOTS_MAX, weights are halved (not below 1) until it
 * fits. credit and scaled are the caller's scratch, `members` long. */
uint32_t l4_schedule_build(const uint32_t *weights, uint32_t members, uint32_t *scaled,
                           int64_t *credit, uint16_t slots[L4_SLOTS_MAX]);

#endif
