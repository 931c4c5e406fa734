/* A sequence lock: reads several words together while one process may be writing them.
 *
 * The writer makes the sequence odd, writes, and makes it even again. A reader that finds the
 * sequence odd, or changed after its read, reads again, up to L4_SEQ_TRIES times.
 *
 * why bounded: a writer that died inside a change leaves the sequence odd for good. A reader then
 * gets a mix of old and new words, which are seldom changed.
 */
#ifndef L4_SHM_SEQ_H
#define L4_SHM_SEQ_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bounds.h"

/* An attribute for a function that reads plain words which another process may be writing. Its
 * caller checks the sequence afterwards. why: ThreadSanitizer reports such reads, and it should
 * report all others. */
#define L4_READS_UNDER_SEQ __attribute__((no_sanitize("thread")))

static inline uint32_t l4_seq_begin(const _Atomic uint32_t *seq)
{
    return atomic_load_explicit(seq, memory_order_acquire);
}

/* True if everything read since then is from one moment. */
static inline bool l4_seq_holds(const _Atomic uint32_t *seq, uint32_t begun)
{
    atomic_thread_fence(memory_order_acquire);
    return !(begun & 1) && atomic_load_explicit(seq, memory_order_relaxed) == begun;
}

/* The writer, before the first word; also where a writer died inside a change. */
static inline void l4_seq_write(_Atomic uint32_t *seq)
{
    const uint32_t now = atomic_load_explicit(seq, memory_order_relaxed);
    atomic_store_explicit(seq, now | 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}

/* ... and after the last. */
static inline void l4_seq_written(_Atomic uint32_t *seq)
{
    const uint32_t now = atomic_load_explicit(seq, memory_order_relaxed);
    atomic_store_explicit(seq, now + 1, memory_order_release);
}

#endif
