/* Reading several words that one process writes while others read: a sequence lock.
 *
 * The writer makes the sequence odd, writes, and makes it even again. A reader that finds it odd,
 * or another one after it has read, reads again, up to L4_SEQ_TRIES times.
 *
 * why bounded: a writer that died inside a change leaves the sequence odd for good; what is read
 * then is what it had written of something that is hardly ever changed.
 */
#ifndef L4_SHM_SEQ_H
#define L4_SHM_SEQ_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bounds.h"

/* Stands before a function that reads plain words which another process may be writing; its caller
 * looks afterwards whether what was read held.
 * why: ThreadSanitizer reports such reads, and nothing else should be hidden from it. */
#define L4_READS_UNDER_SEQ __attribute__((no_sanitize("thread")))

static inline uint32_t l4_seq_begin(const _Atomic uint32_t *seq)
{
    return atomic_load_explicit(seq, memory_order_acquire);
}

/* Is what was read since then of one moment? */
static inline bool l4_seq_holds(const _Atomic uint32_t *seq, uint32_t begun)
{
    atomic_thread_fence(memory_order_acquire);
    return !(begun & 1) && atomic_load_explicit(seq, memory_order_relaxed) == begun;
}

#endif
