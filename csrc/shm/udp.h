/* The UDP rooms of the shared table: included by shm/layout.h, whose rules hold here too.
 *
 * A UDP session is a row of struct l4_session like any other, after the TCP ones of its worker, and
 * beside it a struct l4_flow with the same number. What is there is enough for another process to
 * go on with it: that is how a worker that replaces a dead one takes its UDP sessions over.
 */
#ifndef L4_SHM_UDP_H
#define L4_SHM_UDP_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/bounds.h"

struct l4_udp_manners {            /* of a pool's UDP sessions; supervisor */
    _Atomic uint32_t idle_ms;      /* without a datagram in either direction */
    _Atomic uint32_t requests;     /* datagrams of a client that make one session; 0: no bound */
    _Atomic uint32_t responses;    /* datagrams that answer one of a client's; 0: no bound */
    _Atomic uint32_t per_datagram; /* 1: each datagram of a client chooses its backend */
    _Atomic uint32_t greets;       /* enum l4_udp_greets of run/udp_greet.h */
    _Atomic uint32_t keep_down;    /* 1: sessions stay with a backend that is down */
    _Atomic uint32_t quic_id;      /* 1: QUIC connection ids name backends */
    _Atomic uint32_t quic_config;  /* the 3 bits that say so in their first octet */
    _Atomic uint32_t quic_bytes;   /* of the server ids in them */
};

enum l4_udp_ways {                          /* what a listener's pools do beside the plain way */
                   L4_UDP_COUNTS = 1 << 0,  /* count single datagrams: per_datagram, requests */
                   L4_UDP_IN_TURN = 1 << 1, /* per_datagram */
                   L4_UDP_QUIC = 1 << 2,    /* quic_id */
                   L4_UDP_ROUTES = 1 << 3,  /* ... and there are several pools */
};

struct l4_udp_door {                    /* of a listener; supervisor */
    _Atomic uint32_t max_amplification; /* bytes out per byte in until the client has proven
                                           itself; 0: no bound */
    _Atomic uint32_t max_per_source;    /* sessions of one address; 0: no bound */
    _Atomic uint32_t ways;              /* enum l4_udp_ways */
    _Atomic uint32_t no_privileged;     /* 1: source ports below 1024 are refused */
};

struct l4_server_id {
    uint8_t bytes; /* 0: none */
    uint8_t id[L4_SERVER_ID_MAX];
};

enum l4_flow_flags {
    L4_FLOW_PROVEN = 1 << 0,    /* its client has sent a second datagram */
    L4_FLOW_LOOSE = 1 << 1,     /* its requests are complete: new datagrams are another session's */
    L4_FLOW_COUNTED = 1 << 3,   /* among the sessions of its source */
    L4_FLOW_GREETED = 1 << 4,   /* its backend has been told whose it is: run/udp_greet.h */
    L4_FLOW_LAST_HOPE = 1 << 2, /* its backend was chosen though it is down: when_all_down */
    L4_FLOW_FLAGS = (1 << 5) - 1, /* all of them */
};

struct l4_flow {            /* worker */
    struct l4_addr local;   /* the address and port that the client sends to */
    uint32_t scope;         /* interface of a link-local client, else 0 */
    uint32_t lane;          /* one past the backend it is bound to; 0: to none (core/flow.h) */
    uint16_t port;          /* local port towards the backend */
    _Atomic uint16_t flags; /* enum l4_flow_flags */
    _Atomic uint64_t datagrams[2]; /* from the client, from the backend */
    uint32_t backend_use;          /* which use of the backend's row it is bound to: its `used` */
    uint64_t asked_us; /* CLOCK_MONOTONIC of the request that waits for its first answer */
};

/* Why a client's datagram, or one for it, went no further. */
#define L4_DROPS(X)                                                                                \
    X(SESSIONS, "udp_sessions")       /* no place for another session */                           \
    X(SOURCE, "source_sessions")      /* its address has max_sessions_per_source */                \
    X(DESCRIPTORS, "descriptors")     /* no socket or memory towards the backend */                \
    X(NO_LOCAL_PORT, "no_local_port") /* ... or no local port */                                   \
    X(OVERLOAD, "overload")           /* a new client in a flood (io/flood.h) */                   \
    X(NO_BACKEND, "no_backend")                                                                    \
    X(DENIED, "denied")                /* by the networks of the listener, or blocked */           \
    X(DRAINING, "draining")            /* the service ends and takes no new sessions */            \
    X(PORT, "source_port")             /* port 0, a privileged one, or this listener's own */      \
    X(AMPLIFICATION, "amplification")  /* a reply over max_amplification */                        \
    X(SEND_BACKEND, "send_to_backend") /* the kernel would not take it */                          \
    X(SEND_CLIENT, "send_to_client")

enum l4_drop {
#define X(id, word) L4_DROP_##id,
    L4_DROPS(X)
#undef X
        L4_DROP_COUNT
};

struct l4_udp_tally {                          /* one worker's counts of one listener; worker */
    alignas(64) _Atomic uint64_t datagrams_in; /* from clients, taken */
    _Atomic uint64_t datagrams_out;            /* to clients */
    _Atomic uint64_t dropped[L4_DROP_COUNT];   /* datagrams */
    _Atomic uint64_t evicted;                  /* sessions ended early to make room */
    _Atomic uint64_t moved;                    /* times a session changed its backend */
    _Atomic uint64_t adopted;                  /* sessions taken over from a dead worker */
};

/* The word users see. "unknown" for a number that is none of ours. */
const char *l4_drop_word(unsigned drop);

_Static_assert(sizeof(struct l4_flow) <= 64, "a flow is one cache line");

#endif
