/* The lines of a worker: its clients that wait for a place at the backends of a pool. shm/queue.h
 * has the order over all workers.
 *
 * Clients are served in the order of their arrival, and a client that comes while others wait goes
 * to the end. Places may become free when a session ends here, when another worker says so, when a
 * client leaves the queue, and every L4_QUEUE_LOOK_MS (health and limits change too). Then the
 * worker whose client is first tries to serve it. It goes on until a client finds no place, or
 * until the first client is another worker's, which it then wakes.
 *
 * No wake-up is lost. A worker whose client joins shows the client's turn before it looks for a
 * place. A worker that frees a place at a backend gives the place back before it looks at the
 * turns. Both orders are sequentially consistent, so at least one of the two workers sees the
 * other. When a worker dies, the supervisor wakes all workers. The work is done at the end of a
 * loop iteration, once for everything that happened in it.
 */
#ifndef L4_RUN_LINES_H
#define L4_RUN_LINES_H

#include "run/row.h"

/* Allocates and frees the memory for lines. Returns 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int l4_lines_start(struct l4_loop *loop);
void l4_lines_finish(struct l4_loop *loop);

/* Do clients wait for this pool? A new client must not overtake them. */
bool l4_lines_is_waited_in(const struct l4_loop *loop, uint32_t pool);

/* Must the session wait until the next program takes it over? Places that look free in this table
 * are not free: clients of that program have them, or sessions that went there. */
bool l4_lines_is_for_successor(const struct l4_loop *loop, const struct l4_session *s);

/* Puts a session at the end of its pool's line. Returns false if as many clients as may wait do so
 * already. */
__attribute__((warn_unused_result)) bool l4_lines_join(struct l4_loop *loop, uint32_t index);

/* Puts a session into the line by the turn that it had before, in another worker or before it was
 * offered to one. */
void l4_lines_join_again(struct l4_loop *loop, uint32_t index);

/* Takes a session out of the line, if it is in it. */
void l4_lines_leave(struct l4_loop *loop, uint32_t index);

/* The timer of a session in the line fired, and the session's time is not over. */
void l4_lines_look(struct l4_loop *loop, uint32_t index);

/* A place at one of the pool's backends was given back. */
void l4_lines_released(struct l4_loop *loop, uint32_t pool);

/* Another process woke this worker: the first client of a queue may be one of this worker's. */
void l4_lines_rung(struct l4_loop *loop);

/* l4_lines_due: returns a pool in whose line a client may be served now; L4_NONE: there is none.
 * l4_lines_served: every client of the pool that could be served was. */
uint32_t l4_lines_due(const struct l4_loop *loop);
void l4_lines_served(struct l4_loop *loop, uint32_t pool);

/* Returns the session that is to be served next of all that wait for the pool. Returns L4_NONE if
 * nobody waits, if that session is the next program's, or if it is another worker's, which is then
 * woken. */
uint32_t l4_lines_first(const struct l4_loop *loop, uint32_t pool);

#endif
