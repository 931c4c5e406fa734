/* The PROXY header (version 2) of UDP sessions. It stands in the datagram itself, in front of the
 * client's payload: in the first datagram that a backend gets of a session, or in each. */
#ifndef L4_RUN_UDP_PROXY_OUT_H
#define L4_RUN_UDP_PROXY_OUT_H

#include "io/dgram.h"
#include "run/udp.h"

enum l4_udp_greets { L4_UDP_GREETS_NOT, L4_UDP_GREETS_FIRST, L4_UDP_GREETS_EACH };

/* Sends the datagrams of a message to the session's backend, from byte *at on, each one
 * separately. Returns 0, or -errno of a backend that cannot be reached; *at is then where to
 * continue. *lost grows by the datagrams that the kernel did not take, such as one that is too
 * long with its header. */
__attribute__((warn_unused_result)) int l4_udp_proxy_out(struct l4_loop *loop, uint32_t flow,
                                                         const struct l4_dgram *d, uint32_t *at,
                                                         uint32_t *lost);

#endif
