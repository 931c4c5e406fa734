/* The PROXY header before a UDP client's datagrams: version 2, in the datagram itself, in front of
 * its payload; in the first that a backend gets of a session, or in each. */
#ifndef L4_RUN_UDP_PROXY_OUT_H
#define L4_RUN_UDP_PROXY_OUT_H

#include "io/dgram.h"
#include "run/udp.h"

enum l4_udp_greets { L4_UDP_GREETS_NOT, L4_UDP_GREETS_FIRST, L4_UDP_GREETS_EACH };

/* Sends the datagrams of a message to the session's backend, from byte *at on, each by itself.
 * Returns 0, or -errno of a backend that is not there; *at is where to go on then. *lost grows by
 * what the kernel did not take, such as a datagram that is too long with its header. */
__attribute__((warn_unused_result)) int l4_udp_proxy_out(struct l4_loop *loop, uint32_t flow,
                                                         const struct l4_dgram *d, uint32_t *at,
                                                         uint32_t *lost);

#endif
