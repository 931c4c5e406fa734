/* A session on its way to a backend: pick, connect, retry elsewhere.
 *
 * It holds a place at the backend from the pick on; l4_reach_leave gives it back. A backend that
 * cannot be reached is counted and another one tried, before any byte was forwarded.
 */
#ifndef L4_RUN_REACH_H
#define L4_RUN_REACH_H

#include "run/worker.h"

/* Picks a backend and begins to connect. Without one the session waits, where its pool has a queue
 * and it is places that lack, or ends. */
void l4_reach_backend(struct l4_loop *loop, uint32_t index);

/* The same for one that waits and whose turn it is. False: there is no place for it yet. */
bool l4_reach_from_queue(struct l4_loop *loop, uint32_t index);

/* The kernel's word on the connect in progress. */
void l4_reach_event(struct l4_loop *loop, uint32_t index, uint32_t events);

/* Its timer fired while it connects. */
void l4_reach_timeout(struct l4_loop *loop, uint32_t index);

/* The attempt succeeded: bytes can be relayed. */
void l4_reach_connected(struct l4_loop *loop, uint32_t index);

/* It failed, error is -errno: the backend is counted and left, and another one may be tried. */
void l4_reach_failed(struct l4_loop *loop, uint32_t index, int error);

/* A client that belongs to its backend goes on doing so. Returns after how long to say so again,
 * and at most `most`. */
uint64_t l4_reach_refresh(const struct l4_loop *loop, const struct l4_session *s, uint64_t most);

/* Closes the socket towards the backend and gives its place back, if there is one. */
void l4_reach_leave(struct l4_loop *loop, struct l4_session *s);

/* The next program has the session: its place stays taken here, because it is taken there. */
void l4_reach_part(struct l4_loop *loop, struct l4_session *s);

#endif
