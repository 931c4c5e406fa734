#include "shm/record.h"

#include <string.h>

#include "base/assert.h"

enum { ALIGN = 8 };

/* What a piece takes of the ring. */
static uint64_t size_of(uint64_t bytes)
{
    return sizeof(struct l4_record_piece) + (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

/* Copies bytes to a position, around the ring's end. Returns the position behind them. */
static uint64_t write_at(struct l4_record_ring *ring, uint64_t position, const void *from,
                         size_t bytes)
{
    const size_t at = position % L4_RECORD_RING_BYTES, behind = L4_RECORD_RING_BYTES - at;
    const size_t first = bytes < behind ? bytes : behind;
    memcpy(ring->bytes + at, from, first);
    memcpy(ring->bytes, (const char *)from + first, bytes - first);
    return position + bytes;
}

static uint64_t read_at(const struct l4_record_ring *ring, uint64_t position, void *to,
                        size_t bytes)
{
    const size_t at = position % L4_RECORD_RING_BYTES, behind = L4_RECORD_RING_BYTES - at;
    const size_t first = bytes < behind ? bytes : behind;
    memcpy(to, ring->bytes + at, first);
    memcpy((char *)to + first, ring->bytes, bytes - first);
    return position + bytes;
}

/* ---- a worker -------------------------------------------------------------------------------- */

bool l4_record_put(struct l4_record_ring *ring, const struct l4_record_piece *piece,
                   const struct l4_text *texts, size_t count)
{
    const uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    const uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    const uint64_t most =
        L4_RECORD_RING_BYTES - (piece->kind == L4_RECORD_END ? 0 : L4_RECORD_RESERVE);
    const uint64_t used = head - tail, size = size_of(piece->bytes);
    if (piece->bytes > L4_RECORD_PIECE_MAX || used > most || size > most - used)
        return false;
    uint64_t at = write_at(ring, head, piece, sizeof *piece);
    for (size_t i = 0; i < count; i++) {
        if (texts[i].bytes)
            at = write_at(ring, at, texts[i].at, texts[i].bytes);
    }
    L4_ASSERT(at == head + sizeof *piece + piece->bytes);
    atomic_store_explicit(&ring->head, head + size, memory_order_release);
    return true;
}

/* ---- the recorder ---------------------------------------------------------------------------- */

uint64_t l4_record_first(const struct l4_record_ring *ring)
{
    return atomic_load_explicit(&ring->tail, memory_order_relaxed);
}

bool l4_record_take(const struct l4_record_ring *ring, uint64_t *position,
                    struct l4_record_piece *piece, char *to)
{
    const uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    const uint64_t there = head - *position;
    if (there == 0)
        return false;
    if (there <= L4_RECORD_RING_BYTES && there >= sizeof *piece) {
        const uint64_t at = read_at(ring, *position, piece, sizeof *piece);
        if (piece->bytes <= L4_RECORD_PIECE_MAX && size_of(piece->bytes) <= there) {
            read_at(ring, at, to, piece->bytes);
            *position += size_of(piece->bytes);
            return true;
        }
    }
    *position = head;
    return false;
}

void l4_record_release(struct l4_record_ring *ring, uint64_t position)
{
    atomic_store_explicit(&ring->tail, position, memory_order_release);
}
