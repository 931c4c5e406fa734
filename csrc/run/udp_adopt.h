/* UDP sessions that change their worker: from a dead process's rows, and from a live worker by a
 * hand-over (run/handover.h).
 *
 * A live one gives a copy of the session's connected socket, so backend and client notice nothing.
 * Until the client's datagrams come to the taker the giver goes on serving it with its own copy, as
 * a ghost that is counted and shown no more: whichever of both reads a datagram passes it on.
 */
#ifndef L4_RUN_UDP_ADOPT_H
#define L4_RUN_UDP_ADOPT_H

#include "run/handover_record.h"
#include "run/udp.h"

/* Takes over what a dead process left in this worker's rows. */
void l4_udp_adopt(struct l4_loop *loop);

/* May it be given to the worker that will have this place of so many (core/steer.h)? places 0: to
 * any. */
bool l4_udp_may_go(const struct l4_loop *loop, uint32_t flow, uint32_t places, uint32_t place);

/* Describes a session; its socket goes into fds and stays the session's. Returns 1. */
uint32_t l4_udp_describe(const struct l4_loop *loop, uint32_t flow, struct l4_record *record,
                         int *fds);

/* Makes a described session one of this worker's. True: it has taken the socket over. */
bool l4_udp_take(struct l4_loop *loop, const struct l4_record *record, const int *fds,
                 uint32_t count);

/* Another worker has it: it becomes a ghost, and is forgotten soon. */
void l4_udp_let_go(struct l4_loop *loop, uint32_t flow);

/* The end of a ghost. */
void l4_udp_forget(struct l4_loop *loop, uint32_t flow);

#endif
