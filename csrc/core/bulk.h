/* Picks and look-ups by the thousand: what a change would do to a pool (simulate), and how fast
 * they are (bench).
 *
 * The same code that serves clients; on a table of the caller's own, or dry.
 */
#ifndef L4_CORE_BULK_H
#define L4_CORE_BULK_H

#include <stdbool.h>
#include <stdint.h>

struct l4_addr;
struct l4_table;

#define L4_BULK_NONE 0xffffu

/* Dry picks for `count` clients whose hashes lie evenly over all there are: the backend of each, or
 * L4_BULK_NONE, into chosen. */
void l4_bulk_keys(const struct l4_table *table, uint32_t pool, uint64_t now_ms, uint32_t count,
                  uint16_t *chosen);

/* `count` picks as worker 0 makes them, each place kept (hold) or given back at once; adds to
 * counts, by backend. Returns how many found none. */
uint32_t l4_bulk_picks(const struct l4_table *table, uint32_t pool, uint64_t now_ms, uint32_t count,
                       bool hold, uint32_t *counts);

/* Looks addresses up in a set, one after the other. in_turn: which address comes next is known only
 * from what the one before has found, so that no two look-ups overlap. Returns how many have a
 * value. */
uint32_t l4_bulk_finds(const struct l4_table *table, uint32_t set, const struct l4_addr *addresses,
                       uint32_t count, bool in_turn);

/* So many loads from random places of `words` numbers, each of which says where the next is: what
 * memory allows, beside look-ups in a set of that size. Returns the last. */
uint64_t l4_bulk_loads(const uint64_t *memory, uint64_t words, uint32_t count);

#endif
