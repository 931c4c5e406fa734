/* The way of datagrams through a worker: from listeners to backends, and answers back to clients.
 *
 * A client's datagram belongs to the session of its source address, its destination address and
 * its listener (core/flow.h). Each session has a socket of its own, connected to its backend.
 * Answers leave through the listener's socket, from the address that the client used. Datagrams
 * move in batches: a listener's messages are sorted by session before they are sent, and the
 * answers of all sessions wait in one queue until the loop iteration ends or the queue is full.
 */
#ifndef L4_RUN_UDP_RELAY_H
#define L4_RUN_UDP_RELAY_H

#include "run/udp.h"

/* Passes datagrams on that wait in a listener's socket, up to its share of a loop iteration. */
void l4_udp_receive(struct l4_loop *loop, uint32_t bound);

/* Passes everything on that waits in the socket of a listener that goes, and all answers that wait
 * to leave through it. */
void l4_udp_receive_rest(struct l4_loop *loop, uint32_t bound);

/* Handles an event of the socket of a session to its backend. */
void l4_udp_event(struct l4_loop *loop, uint32_t flow, enum l4_side side, uint32_t events);

/* Does what is due at the end of a loop iteration: answers left over, timers. */
void l4_udp_turn(struct l4_loop *loop);

/* Is there a session in this row, or the ghost of one that another worker has? */
bool l4_udp_is_live(const struct l4_loop *loop, uint32_t flow);

#endif
