/* The parts of the shared table that outlive a change of the configuration.
 *
 * A backend may move to another address while workers connect to it. The supervisor keeps the
 * counts of rows that were given to other backends, and the counts of a program that was replaced.
 */
#ifndef L4_SHM_ROW_REUSE_H
#define L4_SHM_ROW_REUSE_H

#include "shm/table.h"

/* Returns how many rows a process must look at to see all that were ever used. */
static inline uint32_t l4_table_workers_high(const struct l4_table *table)
{
    const uint32_t high = atomic_load_explicit(&table->header->workers_high, memory_order_relaxed);
    return high < table->plan.caps.workers ? high : table->plan.caps.workers;
}

static inline uint32_t l4_table_backends_high(const struct l4_table *table)
{
    const uint32_t high = atomic_load_explicit(&table->header->backends_high, memory_order_relaxed);
    return high < table->plan.caps.backends ? high : table->plan.caps.backends;
}

/* Returns the worker row in which the supervisor counts for itself; no process belongs to it. */
static inline uint32_t l4_table_book(const struct l4_table *table)
{
    return table->plan.caps.workers - 1;
}

/* The supervisor's own counters of backends whose rows other backends have now. */
static inline struct l4_column *l4_table_gone(const struct l4_table *table)
{
    const struct l4_caps *caps = &table->plan.caps;
    return l4_table_column(table, caps->workers - 1, caps->backends - 1) + 1;
}

/* Returns the present address of a backend. For a unix socket, path (L4_PATH_MAX + 1 bytes) is
 * set. */
struct l4_addr l4_table_target(const struct l4_backend *backend, char *path);

/* The supervisor's: gives a backend another address, also while workers connect to it. path has
 * L4_PATH_MAX + 1 bytes. */
void l4_table_move(struct l4_backend *backend, const struct l4_addr *addr, const char *path);

#endif
