/* How a pool's connections to its backends leave this host: from which address, by which interface,
 * with which marks. The supervisor writes it, also while workers connect; they copy what they need.
 */
#ifndef L4_SHM_EGRESS_H
#define L4_SHM_EGRESS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/bounds.h"
#include "base/option.h"

struct l4_egress {
    _Atomic uint32_t seq;        /* odd while the rest is being written */
    _Atomic uint32_t used;       /* 0: there is nothing to say, the kernel chooses */
    uint32_t transparent;        /* 1: from the client's own address, where it has the
                                    backend's family */
    uint32_t sources4, sources6; /* how many addresses follow, IPv4 first; 0: the kernel's */
    struct l4_options options;
    struct l4_addr sources[L4_SOURCES_MAX];
};

/* The way of one connection to a backend of this family, for this client; random spreads over
 * the addresses. Returns way, or NULL: there is nothing to say. */
const struct l4_way *l4_egress_way(const struct l4_egress *egress, uint16_t family,
                                   const struct l4_addr *client, uint64_t random,
                                   struct l4_way *way);

#endif
