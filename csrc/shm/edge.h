/* The edge's part of the shared table: what a listener asks of a client before a backend is chosen,
 * the routes that choose its pool, and what is learnt of a session on the way.
 *
 * Included by shm/layout.h, whose rules about writers hold here too.
 */
#ifndef L4_SHM_EDGE_H
#define L4_SHM_EDGE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/bounds.h"

/* What a session must pass on its way from accept to the pick. A listener that needs nothing pays
 * one load for it. */
enum l4_edge_needs {
    L4_NEEDS_HELLO = 1 << 0, /* look for a TLS ClientHello before the pick */
    L4_NEEDS_ROUTE = 1 << 1, /* its routes may choose another pool than its own */
};

struct l4_edge {                           /* of one listener; supervisor */
    _Atomic uint32_t needs;                /* enum l4_edge_needs */
    _Atomic uint32_t handshake_timeout_ms; /* for all that is read before the pick */
    /* The listener's routes, first match wins; which of the two is in force says the low bit of
     * the header's routes_generation, as with a pool's views. */
    _Atomic uint32_t routes_at[2], routes_count[2];
};

enum l4_route_wants {
    L4_ROUTE_NAME = 1 << 0,     /* the server name asked for is `name` */
    L4_ROUTE_SUFFIX = 1 << 1,   /* ... ends in `name`, which begins with a dot */
    L4_ROUTE_ANY_NAME = 1 << 2, /* ... is any */
    L4_ROUTE_ALPN = 1 << 3,     /* this protocol is offered */
    L4_ROUTE_SOURCE = 1 << 4,   /* the client is in this network */
    L4_ROUTE_SHARE = 1 << 5,    /* this share of clients, by chance */
};

struct l4_route {   /* supervisor, into the half that is not in force */
    uint32_t wants; /* enum l4_route_wants: all of them must hold */
    uint32_t pool;
    uint64_t name_hash;    /* of `name` under L4_ROUTE_NAME: compared first */
    uint32_t share;        /* of 2^32 */
    uint32_t prefix;       /* bits of source that count */
    struct l4_addr source; /* its other bits are zero */
    uint16_t name_bytes;
    uint8_t alpn_bytes;
    uint8_t alpn[L4_ALPN_MAX];
    char name[L4_HELLO_NAME_MAX + 1]; /* lower case */
};

enum l4_facts_known { L4_FACT_NAME = 1 << 0, L4_FACT_ALPN = 1 << 1 };

/* Cold facts of one session, beside its row and with the same index. Only what session.known says
 * is valid; a session that nothing was read of never touches its row. Its worker writes. */
struct l4_facts {
    uint16_t name_bytes;
    uint16_t alpn_bytes;
    char name[L4_HELLO_NAME_MAX + 1]; /* the server name asked for, lower case, NUL after it */
    uint8_t alpn[L4_ALPN_LIST_MAX];   /* protocols offered: a length byte, a name, ... */
};

#endif
