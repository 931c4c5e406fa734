/* How connections of a pool to its backends leave this host: local address, interface and marks.
 * The supervisor writes it, also while workers connect. Workers copy what they need. */
#ifndef L4_SHM_EGRESS_H
#define L4_SHM_EGRESS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/bounds.h"
#include "base/option.h"

struct l4_egress {
    _Atomic uint32_t seq;  /* odd while the rest is being written */
    _Atomic uint32_t used; /* 0: no settings, the kernel chooses */
    _Atomic uint32_t
        transparent; /* 1: from the client's own address, if it has the backend's family */
    uint32_t sources4,
        sources6; /* number of addresses that follow, IPv4 first; 0: the kernel chooses */
    struct l4_options options;
    struct l4_addr sources[L4_SOURCES_MAX];
};

/* The supervisor's: puts other settings into force. The seq of next is not looked at. */
void l4_egress_write(struct l4_egress *egress, const struct l4_egress *next);

/* Fills way for one connection to a backend of this family, for this client. random spreads
 * connections over the addresses. Returns way, or NULL if there are no settings. */
const struct l4_way *l4_egress_way(const struct l4_egress *egress, uint16_t family,
                                   const struct l4_addr *client, uint64_t random,
                                   struct l4_way *way);

#endif
