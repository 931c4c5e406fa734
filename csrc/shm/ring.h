/* A ring buffer between two processes: one puts entries, one takes them, and neither waits.
 *
 * The entries are beside their struct l4_ring in the shared table. If a process dies between the
 * copy of an entry and the step of head or tail, the ring is as if the call had not been made.
 * Heads and tails are in memory that the other side can write, so a reader never trusts their
 * distance.
 */
#ifndef L4_SHM_RING_H
#define L4_SHM_RING_H

#include <stdbool.h>
#include <stddef.h>

#include "shm/layout.h"

/* Copies entry into the ring. If the ring is full, returns false and counts the entry in
 * dropped. */
bool l4_ring_put(struct l4_ring *ring, void *entries, const void *entry, size_t entry_bytes,
                 uint64_t places);

/* Returns the position of the next entry, for a writer that first writes data beside it; `places`
 * if the ring is full. */
uint64_t l4_ring_next(const struct l4_ring *ring, uint64_t places);

/* Copies the oldest entry out. Returns false if there is none. */
bool l4_ring_take(struct l4_ring *ring, const void *entries, void *entry, size_t entry_bytes,
                  uint64_t places);

/* Copies the entry at *position out and increases *position, for a reader that releases entries
 * later (l4_ring_release). An impossible position (the reader's first, or after the ring was begun
 * again) is first set to the oldest entry. Returns false if there is no entry. */
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
