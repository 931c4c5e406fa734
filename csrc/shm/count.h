/* Counts that are exact over all workers, and exact again after one of them was killed.
 *
 * Two numbers count a thing: the word all workers share (a backend's or pool's inflight, a
 * backend's owed, the header's connections), which decides limits and least connections, and the
 * worker's own part of it in its column. A change moves both, and the worker's ops is odd
 * meanwhile. A worker that dies leaves its part behind; l4_count_clear forgets it and
 * l4_count_settle sets each shared word to the sum of the living parts, taken at a moment when no
 * living worker was half-way (ops of all even, and the same before and after the sum). That is the
 * double collect of Afek et al., "Atomic snapshots of shared memory", JACM 40(4), 1993; a worker
 * changes counts for well under a microsecond per connection, so such a moment comes.
 */
#ifndef L4_SHM_COUNT_H
#define L4_SHM_COUNT_H

#include <stdbool.h>

#include "shm/table.h"

/* Takes a place at backend and in its pool if neither is at its max_connections, and, with `seen`
 * not null, only if as many places of the backend are taken as *seen says. False: not taken. */
bool l4_count_take_backend(const struct l4_table *table, uint32_t worker, uint32_t backend,
                           const uint32_t *seen);
void l4_count_drop_backend(const struct l4_table *table, uint32_t worker, uint32_t backend);

/* The backend owes a session its first byte, and owes it no more. l4_count_owe returns how many it
 * owed before. */
uint32_t l4_count_owe(const struct l4_table *table, uint32_t worker, uint32_t backend);
void l4_count_answer(const struct l4_table *table, uint32_t worker, uint32_t backend);

/* A place among those that wait for a pool, if fewer than limit do. */
bool l4_count_take_wait(const struct l4_table *table, uint32_t worker, uint32_t pool,
                        uint32_t limit);
void l4_count_drop_wait(const struct l4_table *table, uint32_t worker, uint32_t pool);

/* The same for a place among the clients of a listener, named by the row that has its counts. */
bool l4_count_take_listener(const struct l4_table *table, uint32_t worker, uint32_t listener,
                            uint32_t limit);
void l4_count_drop_listener(const struct l4_table *table, uint32_t worker, uint32_t listener);

/* What every change of a count is between. */
static inline void l4_count_begin(struct l4_worker *w)
{
    L4_OWN_ADD(w->ops, 1);
    atomic_thread_fence(memory_order_seq_cst);
}

static inline void l4_count_end(struct l4_worker *w)
{
    atomic_store_explicit(&w->ops, L4_GET(w->ops) + 1, memory_order_release);
}

/* The same for a place among all clients. */
bool l4_count_take_client(const struct l4_table *table, uint32_t worker, uint32_t limit);
void l4_count_drop_client(const struct l4_table *table, uint32_t worker);

/* ... and among all UDP sessions. */
bool l4_count_take_flow(const struct l4_table *table, uint32_t worker, uint32_t limit);
void l4_count_drop_flow(const struct l4_table *table, uint32_t worker);

/* ... and among its TLS handshakes in progress. */
bool l4_count_take_shake(const struct l4_table *table, uint32_t worker, uint32_t listener,
                         uint32_t limit);
void l4_count_drop_shake(const struct l4_table *table, uint32_t worker, uint32_t listener);

/* The place of a session that another worker hands over: taken whatever the limits, because it is
 * given back there in the next moment. */
void l4_count_join(const struct l4_table *table, uint32_t worker, uint32_t backend);

/* The session is another program's now, and so is its place: it stays taken in the shared word. */
void l4_count_part_backend(const struct l4_table *table, uint32_t worker, uint32_t backend);

/* So many sessions of a backend are in workers of programs before this one: in the book's part. The
 * supervisor's alone. */
void l4_count_elsewhere(const struct l4_table *table, uint32_t backend, uint32_t sessions);

/* Forgets the parts of a dead worker. The caller knows that no process writes its columns. */
void l4_count_clear(const struct l4_table *table, uint32_t worker);

/* Sets every shared word to the sum of its parts. Returns 0, or -EAGAIN if for one of them no quiet
 * moment came (a living worker is stopped inside a change): call again later. */
__attribute__((warn_unused_result)) int l4_count_settle(const struct l4_table *table);

#endif
