/* Picks by the thousand: for the effect of a change on a pool (simulate), and for
 * benchmarks.
 *
 * The code is that which serves clients. It runs on a table of the caller's own, or dry.
 */
#ifndef L4_CORE_SIMULATE_H
#define L4_CORE_SIMULATE_H

#include <stdbool.h>
#include <stdint.h>

struct l4_addr;
struct l4_table;

#define L4_SIMULATE_NONE 0xffffu

/* Makes dry picks for `count` clients whose hashes are spread evenly over all values. Writes the
 * backend of each client, or L4_SIMULATE_NONE, to chosen. */
void l4_simulate_keys(const struct l4_table *table, uint32_t pool, uint64_t now_ms, uint32_t count,
                      uint16_t *chosen);

/* Makes `count` picks as worker 0. hold: the places stay taken; if not, each is given back at
 * once. Adds to counts, by backend. Returns how many picks found no backend. */
uint32_t l4_simulate_picks(const struct l4_table *table, uint32_t pool, uint64_t now_ms,
                           uint32_t count, bool hold, uint32_t *counts);

#endif
