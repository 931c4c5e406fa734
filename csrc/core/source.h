/* How many sessions does a source have? Counted by a keyed hash of it, exactly.
 *
 * Open addressing with linear probing (Knuth, TAOCP 6.4); a count that comes to 0 leaves no trace
 * (his algorithm R). A source is its 64-bit hash: that two have the same is less likely than that
 * the memory fails. Pure; memory for as many sources as there may be sessions is taken once.
 */
#ifndef L4_CORE_SOURCE_H
#define L4_CORE_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

struct l4_source_slot {
    uint64_t hash;
    uint32_t count; /* 0: free */
};

struct l4_sources {
    struct l4_source_slot *slots;
    uint32_t mask;
};

/* For up to `most` counted sessions. Returns 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int l4_sources_init(struct l4_sources *sources, uint32_t most);
void l4_sources_close(struct l4_sources *sources);

/* Counts one more of this source, unless it has `limit` (0: no limit). False: it has. */
bool l4_sources_take(struct l4_sources *sources, uint64_t hash, uint32_t limit);

/* One less. */
void l4_sources_drop(struct l4_sources *sources, uint64_t hash);

#endif
