/* How fast does a backend answer? A peak-sensitive moving average that forgets with time.
 *
 * A slower sample is believed at once, faster ones pull the average down with a half-life of
 * L4_RESPONSE_HALF_MS; with no sample at all it fades the same way, so that a backend that was
 * slow is tried again. (Peak EWMA, as in Twitter's Finagle, com.twitter.finagle.loadbalancer.)
 * One 64-bit word, shared by all workers: 1/64 microseconds in the low half (67 s at most, and fine
 * enough to fade from one millisecond to the next), the low 32 bits of the time of the last sample
 * (milliseconds) in the high half.
 */
#ifndef L4_CORE_RESPONSE_H
#define L4_CORE_RESPONSE_H

#include "shm/layout.h"

/* The average now, in microseconds; 0: nothing is known, or all is forgotten. */
uint32_t l4_response_read(const _Atomic uint64_t *word, uint64_t now_ms);

/* A backend's time as choices see it: at least as long as it has owed somebody a first byte and
 * given none. */
uint32_t l4_response_of(const struct l4_backend *backend, uint64_t now_ms);

void l4_response_observe(_Atomic uint64_t *word, uint64_t now_ms, uint64_t sample_us);

#endif
