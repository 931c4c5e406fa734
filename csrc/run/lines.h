/* This worker's clients that wait for a place at their pool's backends: shm/queue.h has the order
 * over all workers.
 *
 * First come, first served: who comes while others wait goes to the end; whenever places may have
 * become free (a session ended here, another worker rang, somebody left, or L4_QUEUE_LOOK_MS have
 * passed: health and limits change too) the worker whose client is first tries to serve it, and so
 * on until a client finds no place or the first one is another worker's, who is then rung.
 *
 * No wake-up is lost. Who joins shows its turn before it looks for a place; who leaves a backend
 * gives the place back before it looks for turns; with both in one order (sequentially consistent)
 * at least one sees the other. When a worker dies the supervisor rings all. Work is done at the end
 * of a turn of the loop, once for all that happened in it.
 */
#ifndef L4_RUN_LINES_H
#define L4_RUN_LINES_H

#include "run/row.h"

/* Takes and gives back the memory for lines; 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int l4_lines_start(struct l4_loop *loop);
void l4_lines_finish(struct l4_loop *loop);

/* Do others wait for this pool, whom a new client must not overtake? */
bool l4_lines_is_waited_in(const struct l4_loop *loop, uint32_t pool);

/* Is the session to wait until the next program takes it? The places that are free by this table
 * are not free: that program's clients have them, or sessions that went there. */
bool l4_lines_is_for_successor(const struct l4_loop *loop, const struct l4_session *s);

/* Puts a session at the end of its pool's line. False: as many as may wait do already. */
__attribute__((warn_unused_result)) bool l4_lines_join(struct l4_loop *loop, uint32_t index);

/* Puts a session into the line by the turn that it had, in another worker or before it was offered
 * to one. */
void l4_lines_join_again(struct l4_loop *loop, uint32_t index);

/* Takes a session out of the line, if it is there. */
void l4_lines_leave(struct l4_loop *loop, uint32_t index);

/* The timer of a session in the line fired, and its time is not over. */
void l4_lines_look(struct l4_loop *loop, uint32_t index);

/* A place at one of the pool's backends was given back. */
void l4_lines_released(struct l4_loop *loop, uint32_t pool);

/* Another process rang: the first client may be one of ours. */
void l4_lines_rung(struct l4_loop *loop);

/* At the end of a turn: a pool in whose line somebody may be served, L4_NONE: there is none; and
 * that all who could be served there were. */
uint32_t l4_lines_due(const struct l4_loop *loop);
void l4_lines_served(struct l4_loop *loop, uint32_t pool);

/* The session that is to be served next of all that wait for the pool; L4_NONE: nobody waits, or it
 * is another worker's, who is told so, or the next program's. */
uint32_t l4_lines_first(const struct l4_loop *loop, uint32_t pool);

#endif
