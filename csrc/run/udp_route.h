/* To which session does a client's datagram belong, and may it have one?
 *
 * Mostly the client's and the listener's address say it all. In a pool that balances each datagram
 * by itself, or whose backends are named in QUIC connection ids, a client may have a session at
 * each backend: the lane of its key (core/flow.h) is then one past the backend.
 */
#ifndef L4_RUN_UDP_ROUTE_H
#define L4_RUN_UDP_ROUTE_H

#include "run/udp.h"

/* The session of a message, opened if there is none; L4_NONE: it went no further, and was counted.
 */
uint32_t l4_udp_route(struct l4_loop *loop, uint32_t bound, const struct l4_dgram *d);

/* Do all datagrams of this run surely belong to one session? */
bool l4_udp_goes_together(const struct l4_loop *loop, uint32_t bound, const struct l4_dgram *run);

#endif
