/* A pool's view: its members and schedule as picks read them, replaced as a whole.
 *
 * The supervisor builds the view that is not in force and then steps view_generation; workers that
 * were reading meanwhile notice and read again. A death half-way leaves the old view in force.
 */
#ifndef L4_CORE_VIEW_H
#define L4_CORE_VIEW_H

#include "shm/table.h"

/* Rebuilds the view of a pool from the backend rows in use that name it. Call after any change of
 * membership or weight. Returns 0 or -ENOMEM (the old view stays in force). */
__attribute__((warn_unused_result)) int l4_view_publish(const struct l4_table *table,
                                                        uint32_t pool);

#endif
