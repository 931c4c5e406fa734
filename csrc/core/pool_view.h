/* Builds the view of a pool: the members and schedule that picks read, replaced as a whole.
 *
 * The supervisor builds the view that is not in force and then increases view_generation. Workers
 * that were reading notice the change and read again. If the supervisor dies while it builds, the
 * old view stays in force.
 */
#ifndef L4_CORE_POOL_VIEW_H
#define L4_CORE_POOL_VIEW_H

#include "shm/table.h"

/* Rebuilds the view of a pool from the backend rows in use that belong to it. Call it after each
 * change of membership or weight. Returns 0 or -ENOMEM (the old view stays in force). */
__attribute__((warn_unused_result)) int l4_view_publish(const struct l4_table *table,
                                                        uint32_t pool);

#endif
