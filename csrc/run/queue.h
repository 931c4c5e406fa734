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
#ifndef L4_RUN_QUEUE_H
#define L4_RUN_QUEUE_H

#include "run/worker.h"

/* Takes and gives back the memory for lines; 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int l4_queue_start(struct l4_loop *loop);
void l4_queue_finish(struct l4_loop *loop);

/* Do others wait for this pool, whom a new client must not overtake? */
bool l4_queue_is_waited_in(const struct l4_loop *loop, uint32_t pool);

/* The session waits from now on, or ends because as many as may wait already. */
void l4_queue_join(struct l4_loop *loop, uint32_t index);

/* It waits with the turn that it had, in another worker or before it was offered to one. */
void l4_queue_join_again(struct l4_loop *loop, uint32_t index);

/* Is it to wait until the next program takes it? The places that are free by this table are not
 * free: that program's clients have them, or sessions that went there. */
bool l4_queue_is_for_successor(const struct l4_loop *loop, const struct l4_session *s);

/* It waits no more, for whatever reason. */
void l4_queue_leave(struct l4_loop *loop, uint32_t index);

/* Its timer fired while it waits. */
void l4_queue_timeout(struct l4_loop *loop, uint32_t index);

/* A place at one of the pool's backends was given back. */
void l4_queue_released(struct l4_loop *loop, uint32_t pool);

/* Another process rang: the first client may be one of ours. */
void l4_queue_rung(struct l4_loop *loop);

/* At the end of a turn: serves, or tells who should. */
void l4_queue_serve(struct l4_loop *loop);

#endif
