/* The schedule of a pool for smooth weighted round robin.
 *
 * The sequence is that of nginx's algorithm (commit 52327e0627f4, 2012), written out once for
 * each change instead of computed for each pick. At each slot every member's credit grows by its
 * weight. The member with the largest credit is chosen and pays the sum of all weights. One
 * period has sum(weights) / gcd slots; each member has exactly weight / gcd of them, spread
 * evenly. All workers share one ticket counter, so the order is exact over all of them. A member
 * that is unusable for a while is skipped, and the shares of the others stay equal.
 */
#ifndef L4_CORE_SCHEDULE_H
#define L4_CORE_SCHEDULE_H

#include <stdint.h>

#include "base/bounds.h"

/* Fills slots with member numbers 0..members-1. Returns the number of slots, 0 if all weights are
 * 0. If a period would be longer than L4_SLOTS_MAX, weights are halved (not below 1) until it
 * fits. credit and scaled are the caller's scratch of `members` elements. */
uint32_t l4_schedule_build(const uint32_t *weights, uint32_t members, uint32_t *scaled,
                           int64_t *credit, uint16_t slots[L4_SLOTS_MAX]);

#endif
