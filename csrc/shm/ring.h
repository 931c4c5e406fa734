/* A ring between two processes: one puts, one takes, neither waits.
 *
 * The entries lie beside their struct l4_ring in the shared table. A death between the copy of an
 * entry and the step of head or tail leaves the ring as if the call had not been made. Heads and
 * tails come from memory the other side can write: a reader never trusts their distance.
 */
#ifndef L4_SHM_RING_H
#define L4_SHM_RING_H

#include <stdbool.h>
#include <stddef.h>

#include "shm/layout.h"

/* Copies entry into the ring. False, and counted in dropped, if all places are taken. */
bool l4_ring_put(struct l4_ring *ring, void *entries, const void *entry, size_t entry_bytes,
                 uint64_t places);

/* The place that the next entry gets, for what its putter lays beside it first; `places` if all are
 * taken. */
uint64_t l4_ring_next(const struct l4_ring *ring, uint64_t places);

/* Copies the oldest entry out. False if there is none. */
bool l4_ring_take(struct l4_ring *ring, const void *entries, void *entry, size_t entry_bytes,
                  uint64_t places);

/* Copies the entry at *position out and steps it, for a reader that takes entries only when it is
 * done with them (l4_ring_release). A position that cannot be (the reader's first, or the ring was
 * begun anew) is set to the oldest entry first. False if there is none. */
bool l4_ring_peek(const struct l4_ring *ring, const void *entries, uint64_t *position, void *entry,
                  size_t entry_bytes, uint64_t places);
void l4_ring_release(struct l4_ring *ring, uint64_t position);

#define L4_RING_PUT(row, ring, entries, entry)                                                     \
    l4_ring_put(&(row)->ring, (row)->entries, (entry), sizeof *(row)->entries,                     \
                sizeof(row)->entries / sizeof *(row)->entries)
#define L4_RING_TAKE(row, ring, entries, entry)                                                    \
    l4_ring_take(&(row)->ring, (row)->entries, (entry), sizeof *(row)->entries,                    \
                 sizeof(row)->entries / sizeof *(row)->entries)

#endif
