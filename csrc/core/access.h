/* What the sets of networks say of an address; see shm/edge.h for where they are.
 *
 * A set is named by a number. All sets of one half are replaced together: those that did not change
 * are copied.
 */
#ifndef L4_CORE_ACCESS_H
#define L4_CORE_ACCESS_H

#include <stdbool.h>

#include "core/cidr.h"
#include "shm/table.h"

/* The value of addr in a set in force; 0: it is in none of its networks, or there is no such set.
 */
uint8_t l4_access_find(const struct l4_table *table, uint32_t set, const struct l4_addr *addr);

/* The same in the set whose number *name holds: its number may become another set's at any time
 * after *name has changed, so a look-up during which it changes is made again. */
uint8_t l4_access_find_named(const struct l4_table *table, const _Atomic uint32_t *name,
                             const struct l4_addr *addr);

/* Is addr turned away by a listener's networks? Only if it has L4_NEEDS_ACCESS. */
bool l4_access_denies(const struct l4_table *table, const struct l4_edge *edge,
                      const struct l4_addr *addr);

/* The bytes of a set in force; 0: there is none. */
uint32_t l4_access_bytes(const struct l4_table *table, uint32_t set);

/* A set in force, NULL: there is none. For the supervisor, who alone replaces it. */
const struct l4_cidr *l4_access_set(const struct l4_table *table, uint32_t set);

/* ---- the supervisor's ------------------------------------------------------------------------ */

/* Empties the half that is not in force. */
void l4_access_begin(const struct l4_table *table);

/* Builds a set there from networks. Returns 0, -ENOSPC or -ENOMEM. */
__attribute__((warn_unused_result)) int l4_access_put(const struct l4_table *table, uint32_t set,
                                                      const struct l4_prefix *networks,
                                                      size_t count);

/* Copies a set of so many bytes there from a file that l4_cidr_build filled at this offset. Returns
 * 0, -ENOSPC, an error of reading, or -EPROTO if it is none. */
__attribute__((warn_unused_result)) int l4_access_read(const struct l4_table *table, uint32_t set,
                                                       int fd, uint64_t offset, uint32_t bytes);

/* Takes a set over from the half in force. Returns 0 or -ENOSPC. */
__attribute__((warn_unused_result)) int l4_access_keep(const struct l4_table *table, uint32_t set);

/* Puts the new half in force. */
void l4_access_publish(const struct l4_table *table);

/* Gives the memory of the half that is not in force back. Some time after l4_access_publish: a
 * reader that is still there finds nothing, and then that it must look again. */
void l4_access_release(const struct l4_table *table);

#endif
