/* Admission in the shared table: a listener's requirements before a backend is chosen, the routes
 * to its pools, sets of networks, and facts about sessions.
 *
 * shm/layout.h includes this file; its rules about writers apply. Routes and sets have two halves.
 * The supervisor writes the half that is not in force, then increases a generation whose low bit
 * names the half in force. A reader that finds the generation changed reads again.
 */
#ifndef L4_SHM_LISTENER_POLICY_H
#define L4_SHM_LISTENER_POLICY_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/bounds.h"
#include "shm/limits.h"
#include "shm/settings.h"

/* What a session must pass before the pick. A listener without any of these costs one load. */
enum l4_policy_needs {
    L4_NEEDS_HELLO = 1 << 0,   /* look for a TLS ClientHello before the pick */
    L4_NEEDS_ROUTE = 1 << 1,   /* a route may choose another pool than the listener's */
    L4_NEEDS_PROXY = 1 << 2,   /* a PROXY header must come first */
    L4_MAY_PROXY = 1 << 3,     /* a PROXY header may come first */
    L4_NEEDS_ACCESS = 1 << 4,  /* the listener has an access list */
    L4_NEEDS_BLOCKS = 1 << 5,  /* at least one source is blocked */
    L4_NEEDS_LIMITS = 1 << 6,  /* the listener has a limit of connections or a rate limit */
    L4_NEEDS_PACE = 1 << 7,    /* the listener limits bandwidth, age or time to the first byte */
    L4_LIKES_HELLO = 1 << 8,   /* look for a ClientHello that comes at once; no choice needs it */
    L4_NEEDS_REQUEST = 1 << 9, /* the listener speaks HTTP: a request is read before the pick */
};

enum { L4_SET_BLOCKS = 0 };                   /* the index of the set of blocked sources */
enum { L4_ACCESS_ALLOW = 1, L4_ACCESS_DENY }; /* values in a set; the greater wins */

struct l4_policy {          /* a listener's requirements; supervisor */
    _Atomic uint32_t needs; /* enum l4_policy_needs: shm/needs.h */
    L4_POLICY_SETTINGS(L4_FIELD)
    _Atomic uint32_t routes_at[2], routes_count[2]; /* in each half; the first match wins */
    _Atomic uint32_t http_routes_at[2]; /* struct l4_router in each half; shm/http_routes.h */
    struct l4_verdict access;
    struct l4_limits limits;
};

enum l4_route_wants {
    L4_ROUTE_NAME = 1 << 0,     /* the server name equals `name` */
    L4_ROUTE_SUFFIX = 1 << 1,   /* the server name ends in `name`, which begins with a dot */
    L4_ROUTE_ANY_NAME = 1 << 2, /* there is a server name */
    L4_ROUTE_ALPN = 1 << 3,     /* the protocol is offered */
    L4_ROUTE_SOURCE = 1 << 4,   /* the client is in the network */
    L4_ROUTE_SHARE = 1 << 5,    /* a random share of clients */
    L4_ROUTE_GOES_ON = 1 << 6,  /* the next row is another way to match this route */
};

struct l4_route {   /* one way to match a route; supervisor, in the copy not in force */
    uint32_t wants; /* enum l4_route_wants: all of them must hold */
    uint32_t pool;
    uint64_t name_hash;    /* hash of `name`, compared first */
    uint32_t share;        /* share of clients, of 2^32 */
    uint32_t prefix;       /* bits of source that count */
    struct l4_addr source; /* its other bits are zero */
    uint16_t name_bytes;
    uint8_t alpn_bytes;
    uint8_t alpn[L4_ALPN_MAX];
    char name[L4_HELLO_NAME_MAX + 1]; /* lower case */
};

struct l4_sets {              /* one of two copies of all sets; the sets (core/cidr.h) follow it */
    uint32_t used;            /* bytes of this copy in use */
    uint32_t at[L4_SETS_MAX]; /* offset of each set from the copy's start; 0: the set is empty */
};

enum l4_block_flags { L4_BLOCK_AUTO = 1 << 0, L4_BLOCK_DRY = 1 << 1 };

struct l4_block { /* one blocked source, to be shown; supervisor */
    struct l4_addr net;
    uint32_t bits;
    uint32_t flags; /* enum l4_block_flags */
    uint64_t since_ms;
    uint64_t until_ms; /* 0: without end */
};

/* TLVs of a PROXY header of version 2 to a backend. */
enum l4_proxy_tlvs {
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
    L4_FACT_VIA = 1 << 2, /* the client's address is from a PROXY header */
    L4_FACT_TLVS = 1 << 3,
    L4_FACT_TLS = 1 << 4,     /* TLS is terminated here; alpn is negotiated */
    L4_FACT_CLAIMED = 1 << 5, /* the request's client is not the peer: struct l4_request has it */
    L4_FACT_PORT = 1 << 6,
};

/* Rarely needed facts of one session, in a row with its index. session.known says which fields are
 * valid. A session without facts never touches its row. The session's worker writes. */
struct l4_facts {
    struct l4_addr via;        /* peer of the socket: the proxy */
    struct l4_addr told_to;    /* destination address in the PROXY header */
    _Atomic uint64_t spent_ns; /* of the session's own bandwidth limit: core/token_bucket.h */
    uint32_t undelivered;      /* with session.looked: unacknowledged bytes at the last look */
    uint32_t ends_ms;          /* low 32 bits of CLOCK_MONOTONIC: end of the session's max_age */
    uint16_t name_bytes, alpn_bytes, tlvs_bytes, port; /* port: asked for, of a wide range */
    char version[L4_TLS_VERSION_MAX + 1];              /* version and cipher, in OpenSSL's words */
    char cipher[L4_CIPHER_MAX + 1];
    char name[L4_HELLO_NAME_MAX + 1]; /* server name in lower case, with its NUL */
    uint8_t alpn[L4_ALPN_LIST_MAX];   /* protocols offered: a length byte, a name, ... */
    uint8_t tlvs[L4_TLVS_MAX];        /* TLVs of the PROXY header received, unchanged */
};

#endif
