/* The response time of a backend: a peak-sensitive moving average that fades with time.
 *
 * A slower sample replaces the average at once. Faster samples pull it down with a half-life of
 * L4_RESPONSE_HALF_MS. Without samples it fades with this half-life too, so that a backend that
 * was slow is tried again. (Peak EWMA, as in Twitter's Finagle,
 * com.twitter.finagle.loadbalancer.) The average is one 64-bit word that all workers share: the
 * low half in 1/64 microseconds (67 s at most, fine enough to fade from one millisecond to the
 * next), the high half the low 32 bits of the time of the last sample in milliseconds.
 */
#ifndef L4_CORE_RESPONSE_H
#define L4_CORE_RESPONSE_H

#include "shm/layout.h"

/* Returns the average now in microseconds; 0: not known, or faded completely. */
uint32_t l4_response_read(const _Atomic uint64_t *word, uint64_t now_ms);

/* Returns the response time for a choice: the average, but at least the time for which a session
 * has waited for the backend's first byte. */
uint32_t l4_response_of(const struct l4_backend *backend, uint64_t now_ms);

void l4_response_observe(_Atomic uint64_t *word, uint64_t now_ms, uint64_t sample_us);

#endif
