/* The edge's part of the shared table: what a listener asks of a client before a backend is chosen,
 * the routes that choose its pool, sets of networks, and what is learnt of a session on the way.
 *
 * Included by shm/layout.h, whose rules about writers hold here too. Routes and sets are in two
 * halves: the supervisor writes the one that is not in force, then steps a generation whose low bit
 * says which is. A reader that finds the generation changed reads again.
 */
#ifndef L4_SHM_EDGE_H
#define L4_SHM_EDGE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/bounds.h"
#include "shm/limits.h"

/* What a session must pass on its way from accept to the pick. A listener that needs nothing pays
 * one load for it. */
enum l4_edge_needs {
    L4_NEEDS_HELLO = 1 << 0,  /* look for a TLS ClientHello before the pick */
    L4_NEEDS_ROUTE = 1 << 1,  /* its routes may choose another pool than its own */
    L4_NEEDS_PROXY = 1 << 2,  /* a PROXY header must come first */
    L4_MAY_PROXY = 1 << 3,    /* ... or may */
    L4_NEEDS_ACCESS = 1 << 4, /* its networks say who may come in */
    L4_NEEDS_BLOCKS = 1 << 5, /* some source is blocked */
    L4_NEEDS_LIMITS = 1 << 6, /* it has a limit of connections or new connections */
    L4_NEEDS_PACE = 1 << 7,   /* ... of bandwidth, of a session's age or of its first byte */
    L4_LIKES_HELLO = 1 << 8,  /* look for one that comes at once: nothing is chosen by it */
};

enum { L4_SET_BLOCKS = 0 };                   /* the set of blocked sources */
enum { L4_ACCESS_ALLOW = 1, L4_ACCESS_DENY }; /* values in a listener's set; the greater wins */

struct l4_edge {                                    /* of one listener; supervisor */
    _Atomic uint32_t needs;                         /* enum l4_edge_needs */
    _Atomic uint32_t handshake_timeout_ms;          /* for all that is read before the pick */
    _Atomic uint32_t routes_at[2], routes_count[2]; /* in each half; first match wins */
    _Atomic uint32_t trusted_set;        /* who may send PROXY headers; L4_NONE: nobody */
    _Atomic uint32_t access_set;         /* L4_NONE: none */
    _Atomic uint32_t rules_set;          /* rules of run time, looked at first; L4_NONE: none */
    _Atomic uint32_t access_else_denied; /* 1: who is in none of its networks is turned away */
    struct l4_verdict access;
    struct l4_limits limits;
};

enum l4_route_wants {
    L4_ROUTE_NAME = 1 << 0,     /* the server name asked for is `name` */
    L4_ROUTE_SUFFIX = 1 << 1,   /* ... ends in `name`, which begins with a dot */
    L4_ROUTE_ANY_NAME = 1 << 2, /* ... is any */
    L4_ROUTE_ALPN = 1 << 3,     /* this protocol is offered */
    L4_ROUTE_SOURCE = 1 << 4,   /* the client is in this network */
    L4_ROUTE_SHARE = 1 << 5,    /* this share of clients, by chance */
    L4_ROUTE_GOES_ON = 1 << 6,  /* no condition: the next row is another way to match this route */
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

struct l4_sets {              /* one half of the sets of networks; the sets follow (core/cidr.h) */
    uint32_t used;            /* bytes of the half */
    uint32_t at[L4_SETS_MAX]; /* of each set, from the half's start; 0: it is empty */
};

enum l4_block_flags { L4_BLOCK_AUTO = 1 << 0, L4_BLOCK_DRY = 1 << 1 };

struct l4_block { /* one blocked source, as it is shown; supervisor */
    struct l4_addr net;
    uint32_t bits;
    uint32_t flags; /* enum l4_block_flags */
    uint64_t since_ms;
    uint64_t until_ms; /* 0: for good */
};

enum l4_proxy_tlvs { /* what a PROXY header of version 2 to a backend tells */
                     L4_TLV_AUTHORITY = 1 << 0,
                     L4_TLV_ALPN = 1 << 1,
                     L4_TLV_UNIQUE_ID = 1 << 2,
                     L4_TLV_CRC32C = 1 << 3,
                     L4_TLV_RECEIVED = 1 << 4,
                     L4_TLV_SSL = 1 << 5
};

enum l4_facts_known {
    L4_FACT_NAME = 1 << 0,
    L4_FACT_ALPN = 1 << 1,
    L4_FACT_VIA = 1 << 2, /* a PROXY header told who the client is */
    L4_FACT_TLVS = 1 << 3,
    L4_FACT_TLS =
        1 << 4, /* TLS ends here: version and cipher hold, and alpn is what was agreed on */
};

/* Cold facts of one session, beside its row and with the same index. Only what session.known says
 * is valid; a session that nothing was read of never touches its row. Its worker writes. */
struct l4_facts {
    struct l4_addr via;        /* the socket's own peer */
    struct l4_addr told_to;    /* the address that the client connected to, as it was told */
    _Atomic uint64_t spent_ns; /* of its own bandwidth: core/rate.h */
    uint32_t undelivered;      /* with session.looked: bytes not acknowledged at the last look */
    uint32_t ends_ms;          /* low 32 bits of CLOCK_MONOTONIC: the end of its max_age */
    uint16_t name_bytes, alpn_bytes, tlvs_bytes;
    char version[L4_TLS_VERSION_MAX + 1]; /* these two as OpenSSL calls them */
    char cipher[L4_CIPHER_MAX + 1];
    char name[L4_HELLO_NAME_MAX + 1]; /* the server name asked for, lower case, NUL after it */
    uint8_t alpn[L4_ALPN_LIST_MAX];   /* protocols offered: a length byte, a name, ... */
    uint8_t tlvs[L4_TLVS_MAX];        /* of the PROXY header received, as it had them */
};

#endif
