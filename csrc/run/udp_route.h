/* Decides to which session a client's datagram belongs, and whether the client may have a session.
 *
 * Usually the client's and the listener's address decide. In a pool that balances each datagram
 * separately, or whose backends are named in QUIC connection ids, a client may have a session at
 * each backend: the subflow of the flow's key (core/flow.h) is then the backend's row plus one.
 */
#ifndef L4_RUN_UDP_ROUTE_H
#define L4_RUN_UDP_ROUTE_H

#include "run/udp.h"

/* Returns the session of a message, and opens one if there is none. Returns L4_NONE if the message
 * was dropped, which is counted. */
uint32_t l4_udp_route(struct l4_loop *loop, uint32_t bound, const struct l4_dgram *d);

/* Do all datagrams of this run certainly belong to one session? */
bool l4_udp_goes_together(const struct l4_loop *loop, uint32_t bound, const struct l4_dgram *run);

#endif
