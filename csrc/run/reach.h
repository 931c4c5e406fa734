/* A session on its way to a backend: pick, connect, retry elsewhere.
 *
 * It holds a place at the backend from the pick on; l4_reach_leave gives it back. A backend that
 * cannot be reached is counted and another one tried, before any byte was forwarded.
 */
#ifndef L4_RUN_REACH_H
#define L4_RUN_REACH_H

#include "run/worker.h"

/* Picks a backend and begins to connect; ends the session if there is none. */
void l4_reach_backend(struct l4_loop *loop, uint32_t index);

/* The kernel's word on the connect in progress. */
void l4_reach_event(struct l4_loop *loop, uint32_t index, uint32_t events);

/* Its timer fired while it connects. */
void l4_reach_timeout(struct l4_loop *loop, uint32_t index);

/* Closes the socket towards the backend and gives its place back, if there is one. */
void l4_reach_leave(struct l4_loop *loop, struct l4_session *s);

#endif
