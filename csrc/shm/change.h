/* What of the shared table outlives a change of the configuration.
 *
 * A backend may move to another address while workers connect to it; counts of rows that are given
 * to others, and of a program that was replaced, are kept by the supervisor.
 */
#ifndef L4_SHM_CHANGE_H
#define L4_SHM_CHANGE_H

#include "shm/table.h"

/* The row in which the supervisor books counts. */
static inline uint32_t l4_table_book(const struct l4_table *table)
{
    return table->plan.caps.workers - 1;
}

/* The supervisor's: what backends counted whose rows others have now. */
static inline struct l4_column *l4_table_gone(const struct l4_table *table)
{
    return l4_table_column(table, table->plan.caps.workers, 0);
}

/* Where a backend is now; path (L4_PATH_MAX + 1 bytes) is set for a unix socket. */
struct l4_addr l4_table_target(const struct l4_backend *backend, char *path);

#endif
