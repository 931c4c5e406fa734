/* Counts the sessions of each source in one worker's own memory, exactly, by a keyed hash of the
 * source.
 *
 * Open addressing with linear probing (Knuth, TAOCP 6.4); a count of 0 leaves no trace (his
 * algorithm R). A source is identified by its 64-bit hash: that two sources have one hash is less
 * likely than a memory error. Pure; memory for the largest number of sources is allocated once.
 */
#ifndef L4_CORE_UDP_SOURCES_H
#define L4_CORE_UDP_SOURCES_H

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

/* Allocates memory for up to `max` counted sessions. Returns 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int l4_sources_init(struct l4_sources *sources, uint32_t max);
void l4_sources_close(struct l4_sources *sources);

/* Counts one more session of this source. Returns false if it has `limit` sessions (0: no
 * limit). */
bool l4_sources_take(struct l4_sources *sources, uint64_t hash, uint32_t limit);

/* Counts one session less. */
void l4_sources_drop(struct l4_sources *sources, uint64_t hash);

#endif
