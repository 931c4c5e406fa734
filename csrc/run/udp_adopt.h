/* UDP sessions that change their worker: from the rows of a dead process, and from a live worker
 * by a hand-over (run/handover.h).
 *
 * The giver hands over a copy of the session's connected socket, so backend and client notice
 * nothing. Until the client's datagrams reach the taker, the giver continues to serve the session
 * with its own copy. Such a session is called a ghost: it is neither counted nor shown. Whichever
 * of the two workers reads a datagram passes it on.
 */
#ifndef L4_RUN_UDP_ADOPT_H
#define L4_RUN_UDP_ADOPT_H

#include "run/handover_record.h"
#include "run/udp.h"

/* Takes over the sessions that a dead process left in this worker's rows. */
void l4_udp_adopt(struct l4_loop *loop);

/* May the session be given to the worker that will have `place` among `places`
 * (core/udp_steering.h)? places 0: to any worker. */
bool l4_udp_may_go(const struct l4_loop *loop, uint32_t flow, uint32_t places, uint32_t place);

/* Describes a session in a record, to offer it; it leaves the kernel for that. fds gets its socket,
 * which the session still owns. Returns 1. l4_udp_stays: it was not taken. */
uint32_t l4_udp_describe(struct l4_loop *loop, uint32_t flow, struct l4_record *record, int *fds);
void l4_udp_stays(const struct l4_loop *loop, uint32_t flow);

/* Makes the described session one of this worker's. Returns true if the session owns the socket
 * now. */
bool l4_udp_take(struct l4_loop *loop, const struct l4_record *record, const int *fds,
                 uint32_t count);

/* Another worker has the session: makes it a ghost, which ends soon. */
void l4_udp_let_go(struct l4_loop *loop, uint32_t flow);

/* Ends a ghost. */
void l4_udp_forget(struct l4_loop *loop, uint32_t flow);

#endif
