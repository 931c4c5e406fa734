#include "shm/ring.h"

#include <string.h>

#include "base/assert.h"

bool l4_ring_put(struct l4_ring *ring, void *entries, const void *entry, size_t entry_bytes,
                 uint64_t places)
{
    L4_ASSERT((places & (places - 1)) == 0);
    const uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    const uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    if (head - tail >= places) {
        const uint64_t dropped = atomic_load_explicit(&ring->dropped, memory_order_relaxed);
        atomic_store_explicit(&ring->dropped, dropped + 1, memory_order_relaxed);
        return false;
    }
    memcpy((char *)entries + (head & (places - 1)) * entry_bytes, entry, entry_bytes);
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
    return true;
}

uint64_t l4_ring_next(const struct l4_ring *ring, uint64_t places)
{
    const uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    const uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    return head - tail < places ? head & (places - 1) : places;
}

bool l4_ring_take(struct l4_ring *ring, const void *entries, void *entry, size_t entry_bytes,
                  uint64_t places)
{
    L4_ASSERT((places & (places - 1)) == 0);
    const uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    const uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    if (head == tail || head - tail > places)
        return false;
    memcpy(entry, (const char *)entries + (tail & (places - 1)) * entry_bytes, entry_bytes);
    atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
    return true;
}

bool l4_ring_peek(const struct l4_ring *ring, const void *entries, uint64_t *position, void *entry,
                  size_t entry_bytes, uint64_t places)
{
    L4_ASSERT((places & (places - 1)) == 0);
    const uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    const uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    if (*position - tail > head - tail)
        *position = tail;
    if (*position == head || head - *position > places)
        return false;
    memcpy(entry, (const char *)entries + (*position & (places - 1)) * entry_bytes, entry_bytes);
    ++*position;
    return true;
}

void l4_ring_release(struct l4_ring *ring, uint64_t position)
{
    atomic_store_explicit(&ring->tail, position, memory_order_release);
}
