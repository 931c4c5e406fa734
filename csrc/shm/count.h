/* Counts that are exact over all workers, and exact again after a worker was killed.
 *
 * Two numbers count each thing. One is a word that all workers share: the sessions of a backend or
 * pool (inflight), the sessions that wait for a backend's first byte (owed), all clients
 * (connections). Limits and least connections are decided by it. The other number is the worker's
 * own part of that word, in a row that only this worker writes. A change moves both, and the
 * worker's ops is odd during the change.
 *
 * A worker that dies leaves its part behind. l4_count_clear forgets this part, and l4_count_settle
 * sets each shared word to the sum of the parts of living workers. The sum is taken at a moment
 * when no living worker is inside a change: all ops are even, and equal before and after the sum.
 * This is the double collect of Afek et al., "Atomic snapshots of shared memory", JACM 40(4),
 * 1993. A worker changes counts for well under a microsecond per connection, so such a moment
 * comes. */
#ifndef L4_SHM_COUNT_H
#define L4_SHM_COUNT_H

#include <stdbool.h>

#include "shm/table.h"

#include "base/assert.h"

/* Takes a place at backend and in its pool, if neither is at its max_connections. If seen is not
 * null, the place is taken only if the backend's count is still *seen. Returns false if no place
 * was taken. */
bool l4_count_take_backend(const struct l4_table *table, uint32_t worker, uint32_t backend,
                           const uint32_t *seen);
void l4_count_drop_backend(const struct l4_table *table, uint32_t worker, uint32_t backend);

/* l4_count_owe: a session begins to wait for the backend's first byte; returns how many waited
 * before. l4_count_answer: the wait is over. */
uint32_t l4_count_owe(const struct l4_table *table, uint32_t worker, uint32_t backend);
void l4_count_answer(const struct l4_table *table, uint32_t worker, uint32_t backend);

/* Takes a place among the clients that wait for a pool, if fewer than limit wait; gives it back. */
bool l4_count_take_wait(const struct l4_table *table, uint32_t worker, uint32_t pool,
                        uint32_t limit);
void l4_count_drop_wait(const struct l4_table *table, uint32_t worker, uint32_t pool);

/* Takes a place among the clients of a listener, if fewer than limit have one; gives it back.
 * listener is the row that has the listener's counts. */
bool l4_count_take_listener(const struct l4_table *table, uint32_t worker, uint32_t listener,
                            uint32_t limit);
void l4_count_drop_listener(const struct l4_table *table, uint32_t worker, uint32_t listener);

/* Every change of a count stands between l4_count_begin and l4_count_end. */
static inline void l4_count_begin(struct l4_worker *w)
{
    L4_ASSERT(!(L4_GET(w->ops) & 1)); /* changes are not nested */
    L4_OWN_ADD(w->ops, 1);
    atomic_thread_fence(memory_order_seq_cst);
}

static inline void l4_count_end(struct l4_worker *w)
{
    L4_ASSERT(L4_GET(w->ops) & 1);
    atomic_store_explicit(&w->ops, L4_GET(w->ops) + 1, memory_order_release);
}

/* Takes a place among all clients, if fewer than limit have one; gives it back. */
bool l4_count_take_client(const struct l4_table *table, uint32_t worker, uint32_t limit);
void l4_count_drop_client(const struct l4_table *table, uint32_t worker);

/* Takes a place among all UDP sessions, if fewer than limit have one; gives it back. */
bool l4_count_take_flow(const struct l4_table *table, uint32_t worker, uint32_t limit);
void l4_count_drop_flow(const struct l4_table *table, uint32_t worker);

/* Takes a place among a listener's TLS handshakes in progress, if fewer than limit have one; gives
 * it back. */
bool l4_count_take_shake(const struct l4_table *table, uint32_t worker, uint32_t listener,
                         uint32_t limit);
void l4_count_drop_shake(const struct l4_table *table, uint32_t worker, uint32_t listener);

/* Takes the place of a session that another worker hands over, whatever the limits: the other
 * worker gives the place back in the next moment. */
void l4_count_join(const struct l4_table *table, uint32_t worker, uint32_t backend);

/* Gives away a session, with its place, to another program: the place stays taken in the shared
 * word. */
void l4_count_part_backend(const struct l4_table *table, uint32_t worker, uint32_t backend);

/* Sets how many sessions of a backend are in workers of earlier programs. This is the supervisor's
 * own part of the count, and only the supervisor calls it. */
void l4_count_elsewhere(const struct l4_table *table, uint32_t backend, uint32_t sessions);

/* Forgets the parts of a dead worker. The caller knows that no process writes its rows. */
void l4_count_clear(const struct l4_table *table, uint32_t worker);

/* Sets every shared word to the sum of its parts. Returns 0, or -EAGAIN if no quiet moment came for
 * one of the words, because a living worker is stopped inside a change; call again later. */
__attribute__((warn_unused_result)) int l4_count_settle(const struct l4_table *table);

#endif
