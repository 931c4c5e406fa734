/* The memory of the shared table, and functions from an index to a row.
 *
 * A table handle belongs to one process. l4_table_create maps the table until l4_table_close; a
 * child inherits both.
 */
#ifndef L4_SHM_TABLE_H
#define L4_SHM_TABLE_H

#include <stddef.h>

#include "shm/layout.h"

struct l4_table {
    struct l4_plan plan; /* this process's own copy: the plan in the table is not trusted */
    struct l4_header *header;
    int fd; /* the memory file (memfd) */
};

/* Makes a zeroed table. Returns 0, -EINVAL if a capacity is 0 or above its bound, or -errno. */
__attribute__((warn_unused_result)) int l4_table_create(struct l4_table *table,
                                                        const struct l4_caps *caps);

void l4_table_close(struct l4_table *table);

/* Returns the index, or 0 if there is no such row. why: an index may come from a word that another
 * process has written, perhaps a hostile one. The table then has wrong numbers for this process;
 * it must not have a wrong address. The numbers of rows are this process's own. */
static inline size_t l4_row_of(uint32_t index, uint32_t rows)
{
    return index < rows ? index : 0;
}

/* Defines the function from an index to a row of a part of the table. rows: how many rows it has,
 * in terms of `caps`. */
#define L4_ROW(type, name, at, rows)                                                               \
    static inline type *name(const struct l4_table *table, uint32_t index)                         \
    {                                                                                              \
        const struct l4_caps *caps = &table->plan.caps;                                            \
        (void)caps;                                                                                \
        return (type *)((char *)table->header + table->plan.at) + l4_row_of(index, rows);          \
    }

/* The same for a part with `rows` rows for each worker. */
#define L4_WORKER_ROW(type, name, at, rows)                                                        \
    static inline type *name(const struct l4_table *table, uint32_t worker, uint32_t index)        \
    {                                                                                              \
        const struct l4_caps *caps = &table->plan.caps;                                            \
        return (type *)((char *)table->header + table->plan.at) +                                  \
               l4_row_of(worker, caps->workers) * (rows) + l4_row_of(index, rows);                 \
    }

L4_ROW(struct l4_listener, l4_table_listener, listeners_at, caps->listeners)
L4_ROW(struct l4_pool, l4_table_pool, pools_at, caps->pools)
L4_ROW(struct l4_backend, l4_table_backend, backends_at, caps->backends)
L4_ROW(struct l4_worker, l4_table_worker, workers_at, caps->workers)
L4_WORKER_ROW(struct l4_column, l4_table_column, columns_at, caps->backends)
L4_WORKER_ROW(struct l4_tally, l4_table_tally, tallies_at, caps->listeners)
L4_WORKER_ROW(struct l4_wait, l4_table_wait, waits_at, caps->pools)
L4_WORKER_ROW(struct l4_session, l4_table_session, sessions_at, caps->sessions + caps->flows)

static inline struct l4_view *l4_table_view(const struct l4_table *table, uint32_t pool,
                                            uint32_t generation)
{
    return (struct l4_view *)((char *)table->header + table->plan.views_at +
                              (l4_row_of(pool, table->plan.caps.pools) * 2 + (generation & 1)) *
                                  table->plan.view_bytes);
}

static inline uint16_t *l4_view_members(struct l4_view *view)
{
    return (uint16_t *)(view + 1);
}

static inline uint16_t *l4_view_slots(const struct l4_table *table, struct l4_view *view)
{
    return l4_view_members(view) + table->plan.caps.backends;
}

static inline uint16_t *l4_view_maglev(const struct l4_table *table, struct l4_view *view)
{
    return l4_view_slots(table, view) + L4_SLOTS_MAX;
}

/* Adds to a word that only the calling process writes; this is cheaper than an atomic add. */
#define L4_OWN_ADD(word, n)                                                                        \
    atomic_store_explicit(&(word), atomic_load_explicit(&(word), memory_order_relaxed) + (n),      \
                          memory_order_relaxed)

#define L4_GET(word)        atomic_load_explicit(&(word), memory_order_relaxed)
#define L4_SET(word, value) atomic_store_explicit(&(word), (value), memory_order_relaxed)

#endif
