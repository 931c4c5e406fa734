/* Looks an address up in the sets of networks, which shm/listener_policy.h describes.
 *
 * A number names a set. All sets of one half are replaced together; sets that did not change are
 * copied.
 */
#ifndef L4_CORE_ACCESS_H
#define L4_CORE_ACCESS_H

#include <stdbool.h>

#include "core/cidr.h"
#include "shm/table.h"

/* Returns the value of addr in a set in force; 0 if addr is in none of its networks, or there is
 * no such set. */
uint8_t l4_access_find(const struct l4_table *table, uint32_t set, const struct l4_addr *addr);

/* Returns the value of addr in the set whose number is *name. After *name has changed, its old
 * number may name another set at any time. A look-up during which *name changes is therefore made
 * again. */
uint8_t l4_access_find_named(const struct l4_table *table, const _Atomic uint32_t *name,
                             const struct l4_addr *addr);

/* True if a listener's access list denies addr. Only for a listener with L4_NEEDS_ACCESS. */
bool l4_access_denies(const struct l4_table *table, const struct l4_policy *edge,
                      const struct l4_addr *addr);

/* Returns the size in bytes of a set in force; 0 if there is none. */
uint32_t l4_access_bytes(const struct l4_table *table, uint32_t set);

/* Returns a set in force, or NULL. For the supervisor, the only process that replaces sets. */
const struct l4_cidr *l4_access_set(const struct l4_table *table, uint32_t set);

/* ---- for the supervisor --------------------------------------------------------------- */

/* Empties the half that is not in force. The next functions fill this half. */
void l4_access_begin(const struct l4_table *table);

/* Builds a set from networks. Returns 0, -ENOSPC or -ENOMEM. */
__attribute__((warn_unused_result)) int l4_access_put(const struct l4_table *table, uint32_t set,
                                                      const struct l4_prefix *networks,
                                                      size_t count);

/* Copies a set of this many bytes from a file that l4_cidr_build filled at this offset. Returns
 * 0, -ENOSPC, the -errno of reading, or -EPROTO if the bytes are not a set. */
__attribute__((warn_unused_result)) int l4_access_read(const struct l4_table *table, uint32_t set,
                                                       int fd, uint64_t offset, uint32_t bytes);

/* Copies a set from the half in force. Returns 0 or -ENOSPC. */
__attribute__((warn_unused_result)) int l4_access_keep(const struct l4_table *table, uint32_t set);

/* Puts the new half into force. */
void l4_access_publish(const struct l4_table *table);

/* Frees the memory of the half that is not in force. Call it some time after l4_access_publish: a
 * reader that still uses that half then finds nothing, sees that the generation has changed, and
 * looks again. */
void l4_access_release(const struct l4_table *table);

#endif
