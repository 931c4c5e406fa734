/* A TCP session from accept to its account: one client, one backend, the relay between them.
 *
 *   FREE -> [READS] -> [SHAKES] -> WAITS <-> CONNECTS -> [SECURES] -> RELAYS -> RESETS -> FREE
 *                                    `<-> QUEUES              (any state may go to FREE)
 *
 * On its way to another worker (run/hand.h) it is LEAVES, and there starts in the state it had.
 *
 * A session owns its two sockets, its pipes, one timer of the wheel, one place among all clients,
 * and, from the pick on, one place at its backend. Everything is given back in l4_session_end, and
 * nowhere else. A row that ended is free again only after the turn: events already taken from the
 * kernel may still name it. What happens in its states is in front.c (READS), admit.c (TARPITS),
 * secure.c (SHAKES, SECURES), queue.c (QUEUES), reach.c (WAITS, CONNECTS) and relay.c.
 */
#ifndef L4_RUN_SESSION_H
#define L4_RUN_SESSION_H

#include "run/worker.h"

/* Opens a session for an accepted socket, which it takes over, and starts towards a backend. The
 * caller has taken the place among all clients. */
void l4_session_open(struct l4_loop *loop, const struct l4_bound *bound, int fd,
                     const struct l4_addr *client);

/* The kernel's word on one of its sockets. */
void l4_session_event(struct l4_loop *loop, uint32_t index, int half, uint32_t events);

/* Its timer fired. */
void l4_session_timeout(struct l4_loop *loop, uint32_t index);

/* Work left over from an earlier turn; it was taken out of the list of those that have some. */
void l4_session_resume(struct l4_loop *loop, uint32_t index);

/* Ends it now, with a reset where its reason is one, and accounts for it. */
void l4_session_end(struct l4_loop *loop, uint32_t index, enum l4_reason reason);

/* Makes the rows that ended in this turn free. */
void l4_session_sweep(struct l4_loop *loop);

struct l4_session *l4_session_at(const struct l4_loop *loop, uint32_t index);

/* ---- for the stages of its life: front.c, secure.c, reach.c, relay.c --------------------------
 */

/* It has work left over: it is resumed in the next turn. */
void l4_session_later(struct l4_loop *loop, uint32_t index);

/* The one setter of its state. A session that had work left over has it no more in another state.
 * Asserts the edge, and that the session is in no list that the new state has no place in. */
void l4_session_enter(struct l4_loop *loop, uint32_t index, enum l4_session_state state);

/* Adds its client to the epoll set, once. Returns 0 or -errno. */
__attribute__((warn_unused_result)) int l4_session_watch_client(struct l4_loop *loop,
                                                                uint32_t index);

/* A row for a new session (it can be returned at once), and the number of its use. The caller fills
 * it, then sets serial. */
void l4_session_start(struct l4_loop *loop); /* no row is in use */
uint32_t l4_session_take_row(struct l4_loop *loop);
void l4_session_return_row(struct l4_loop *loop, uint32_t index);
uint32_t l4_session_next_serial(struct l4_loop *loop);

/* Lets go of a session that another worker has now: nothing of it has ended. */
void l4_session_release(struct l4_loop *loop, uint32_t index);

/* (Re)starts its timer. */
void l4_session_wake_in(struct l4_loop *loop, uint32_t index, uint64_t ms);

/* The end of the wait of its state, and the milliseconds left to it; 0 or less: it has passed. */
void l4_session_set_deadline(struct l4_loop *loop, struct l4_session *s, uint64_t ms);
int32_t l4_session_left_ms(const struct l4_loop *loop, const struct l4_session *s);

/* This worker's counts of a backend. */
struct l4_column *l4_session_column(const struct l4_loop *loop, uint32_t backend);

#endif
