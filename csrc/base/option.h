/* Socket options of the configuration, as numbers: a set of values that is copied as a whole.
 * io/sockopt.h applies them. */
#ifndef L4_BASE_OPTION_H
#define L4_BASE_OPTION_H

#include <stdint.h>

#include "base/addr.h"
#include "base/bounds.h"

/* One socket option. io/sockopt.c has a row for each. */
enum l4_option {
    L4_OPTION_MARK,
    L4_OPTION_DSCP, /* 0..63, without the bits of ECN (RFC 2474, section 3) */
    L4_OPTION_KEEPALIVE,
    L4_OPTION_KEEPALIVE_IDLE_S,
    L4_OPTION_KEEPALIVE_INTERVAL_S,
    L4_OPTION_KEEPALIVE_PROBES,
    L4_OPTION_USER_TIMEOUT_MS,
    L4_OPTION_TRANSPARENT, /* addresses that this host does not have may be bound */
    L4_OPTIONS
};

struct l4_options {
    uint32_t set; /* 1 << enum l4_option, for each option that has a value */
    uint32_t values[L4_OPTIONS];
    char interface[L4_INTERFACE_MAX + 1]; /* network interface; "": any */
};

/* How one connection leaves this host: local addresses and socket options. */
struct l4_way {
    struct l4_options options;
    uint32_t count; /* addresses in `from`, tried in turn while one has no free port; 0: none */
    struct l4_addr from[L4_SOURCE_TRIES];
};

#endif
