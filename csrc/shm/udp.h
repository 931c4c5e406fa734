/* The UDP part of the shared table. shm/layout.h includes it, and its rules apply.
 *
 * A UDP session is a row of struct l4_session as any other session, after the TCP rows of its
 * worker. Beside it is a struct l4_flow with the same number. Both together are enough for another
 * process to continue the session: this is how a worker that replaces a dead one takes over its UDP
 * sessions.
 */
#ifndef L4_SHM_UDP_H
#define L4_SHM_UDP_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/bounds.h"
#include "shm/settings.h"

/* The settings of a pool's UDP sessions. The supervisor writes them. */
struct l4_udp_settings {
    L4_UDP_POOL_SETTINGS(L4_FIELD)
};

/* What a listener's pools need beyond plain sessions. */
enum l4_udp_ways {
    L4_UDP_COUNTS = 1 << 0,  /* count single datagrams: per_datagram, requests */
    L4_UDP_IN_TURN = 1 << 1, /* per_datagram */
    L4_UDP_QUIC = 1 << 2,    /* quic_id */
    L4_UDP_ROUTES = 1 << 3,  /* quic_id, and there are several pools */
};

/* The settings of a UDP listener. The supervisor writes them. */
struct l4_udp_listener {
    L4_UDP_LISTENER_SETTINGS(L4_FIELD)
};

struct l4_server_id {
    uint8_t bytes; /* 0: none */
    uint8_t id[L4_SERVER_ID_MAX];
};

enum l4_flow_flags {
    L4_FLOW_PROVEN = 1 << 0, /* the client has sent a second datagram */
    L4_FLOW_LOOSE = 1 << 1, /* its requests are complete: new datagrams belong to another session */
    L4_FLOW_COUNTED = 1 << 3,     /* counted among the sessions of its source */
    L4_FLOW_GREETED = 1 << 4,     /* the backend got the PROXY header: run/udp_proxy_out.h */
    L4_FLOW_LAST_HOPE = 1 << 2,   /* the backend was chosen although it is down: when_all_down */
    L4_FLOW_FLAGS = (1 << 5) - 1, /* all that go to another worker */
    L4_FLOW_KERNEL = 1 << 5,      /* the kernel forwards its datagrams: run/udp_kernel.h */
};

/* The UDP part of a session. Its worker writes it. */
struct l4_flow {
    struct l4_addr local;          /* the address and port that the client sends to */
    uint32_t scope;                /* interface of a link-local client, else 0 */
    uint32_t subflow;              /* the backend it is bound to, plus 1; 0: none (core/flow.h) */
    uint16_t port;                 /* local port towards the backend */
    _Atomic uint16_t flags;        /* enum l4_flow_flags */
    _Atomic uint64_t datagrams[2]; /* from the client, from the backend */
    uint32_t backend_use; /* the `used` of the backend's row when the session was bound to it */
    uint64_t asked_us;    /* CLOCK_MONOTONIC of the request that waits for its first answer */
};

/* Of a session that the kernel forwards: how much of what the kernel has counted is in the
 * session's counts already. Its worker writes it, and the worker after that goes on from it. */
struct l4_flow_counted {
    uint64_t packets[2], bytes[2]; /* by enum l4_side: of IP packets */
};

/* Why a datagram from a client, or for a client, was dropped. */
#define L4_DROPS(X)                                                                                \
    X(SESSIONS, "udp_sessions")       /* there is no room for another session */                   \
    X(SOURCE, "source_sessions")      /* the address has max_sessions_per_source sessions */       \
    X(DESCRIPTORS, "descriptors")     /* no socket or memory towards the backend */                \
    X(NO_LOCAL_PORT, "no_local_port") /* no free local port towards the backend */                 \
    X(OVERLOAD, "overload")           /* a new client during an overload (io/flood.h) */           \
    X(NO_BACKEND, "no_backend")                                                                    \
    X(DENIED, "denied")                /* by the access list, or the source is blocked */          \
    X(DRAINING, "draining")            /* the service drains */                                    \
    X(PORT, "source_port")             /* port 0, a privileged port, or this listener's own */     \
    X(AMPLIFICATION, "amplification")  /* a reply above max_amplification */                       \
    X(SEND_BACKEND, "send_to_backend") /* the kernel did not take it */                            \
    X(SEND_CLIENT, "send_to_client")

enum l4_drop {
#define X(id, word) L4_DROP_##id,
    L4_DROPS(X)
#undef X
        L4_DROP_COUNT
};

/* One worker's counts of one UDP listener. Only that worker writes them. */
struct l4_udp_tally {
    alignas(64) _Atomic uint64_t datagrams_in; /* datagrams taken from clients */
    _Atomic uint64_t datagrams_out;            /* datagrams sent to clients */
    _Atomic uint64_t dropped[L4_DROP_COUNT];   /* datagrams dropped, by reason */
    _Atomic uint64_t evicted;                  /* sessions that ended early to make room */
    _Atomic uint64_t moved;                    /* changes of a session's backend */
    _Atomic uint64_t adopted;                  /* sessions taken over from another process:
                                                  a dead worker, or a hand-over */
    _Atomic uint64_t handed;                   /* sessions handed over to the kernel */
    _Atomic uint64_t kept;                     /* ... that the kernel had no room for */
    _Atomic uint32_t in_kernel;                /* sessions there now */
};

/* Returns the word that users see; "unknown" for an invalid number. */
const char *l4_drop_word(unsigned drop);

_Static_assert(sizeof(struct l4_flow) <= 64, "a flow is one cache line");

#endif
