/* The table of sources: finds, takes and gives back an entry. See shm/limits.h. */
#ifndef L4_SHM_SOURCE_LIMITS_H
#define L4_SHM_SOURCE_LIMITS_H

#include <stdbool.h>

#include "shm/table.h"

enum l4_source_answer {
    L4_SOURCE_TAKEN,
    L4_SOURCE_FULL,   /* the source has `limit` sessions; none was added */
    L4_SOURCE_NO_ROOM /* all entries for its hash are in use: it cannot be counted */
};

/* Counts one more session of the source with this hash, unless it has `limit` sessions already (0:
 * no limit). *source is its entry, also if it is full. */
enum l4_source_answer l4_source_take(const struct l4_table *table, uint32_t worker, uint64_t hash,
                                     uint32_t limit, uint64_t now_ns, uint32_t *source);

/* True if this entry belongs to the source with this hash. */
bool l4_source_is(const struct l4_table *table, uint32_t source, uint64_t hash);

void l4_source_drop(const struct l4_table *table, uint32_t worker, uint32_t source);

/* The two token buckets of an entry. */
_Atomic uint64_t *l4_source_full_ns(const struct l4_table *table, uint32_t source);
_Atomic uint64_t *l4_source_spent_ns(const struct l4_table *table, uint32_t source);

#endif
