/* The UDP plane of a worker: its start and end, and the listening sockets of UDP. udp_relay.h is
 * the way of datagrams through it.
 *
 * This file owns the listeners' entries in the epoll set, and all that struct l4_udp holds.
 * Sessions are in the shared table (shm/udp.h), so that a worker that replaces this one can take
 * them over. udp_session.h says what happens to one session.
 */
#ifndef L4_RUN_UDP_H
#define L4_RUN_UDP_H

#include "core/flow.h"
#include "core/udp_sources.h"
#include "io/dgram.h"
#include "io/flood.h"
#include "run/plane.h"
#include "shm/udp_rows.h"

/* A UDP listener's socket. There are as many as the loop has bounds. */
struct l4_udp_front {
    bool open;
    bool wildcard;
    bool six;              /* the socket is one of IPv6 */
    struct l4_addr at;     /* the address that it is bound to */
    struct l4_flood flood; /* flood detection: is more queued than a loop iteration takes? */
};

/* What this worker knows of a session's hand-over to the kernel (run/udp_kernel.h). */
struct l4_udp_stay {
    uint32_t older, newer; /* in the kernel: neighbours in the order of the last looks */
    uint64_t looked_ms;    /* in the kernel: its last look */
    uint64_t back_ms;      /* when it came back from there; 0: it was not there */
    uint64_t retry_ms;     /* no hand-over before this time */
    uint8_t unanswered;    /* looks at which its client had sent and its backend had not answered */
    bool answered;         /* there was an answer since its backend had it, or it came back */
    bool offered;          /* it is being given to another worker, so it stays out of the kernel */
};

/* The sessions that the kernel forwards. */
struct l4_udp_kernel {
    int map;                 /* -1: none */
    uint32_t oldest, newest; /* in the order of their last looks */
    uint32_t count;
    uint64_t watched_ms; /* when their backends were last looked at */
};

/* What only this worker knows of a session. */
struct l4_udp_peer {
    uint32_t bound;       /* the front by which it came */
    uint32_t batch;       /* the batch of `first` and `last` */
    uint16_t first, last; /* its messages in that batch */
    /* Datagrams that are longer cannot be sent as runs: to the backend, to the client. */
    uint16_t longest_run[2];
    uint32_t next; /* the next session in the list of those with answers left over */
    bool listed;
    bool ghost; /* a ghost: another worker has taken the session over (run/udp_adopt.h) */
    struct l4_udp_stay stay;
};

struct l4_udp {
    struct l4_flows flows;
    struct l4_sources sources;
    struct l4_wheel wheel;
    struct l4_udp_peer *peers;
    struct l4_udp_front *fronts;
    struct l4_dgram_inbox in;       /* from one listening socket */
    struct l4_dgram_inbox back;     /* from backends; messages before back_used wait in replies */
    struct l4_dgram_outbox ahead;   /* to one backend */
    struct l4_dgram_outbox replies; /* to clients, through the front of `replies_bound` */
    uint32_t back_used, replies_bound;
    uint32_t batch;               /* the number of the current batch */
    uint32_t opens;               /* sessions that may still be opened in that batch */
    uint16_t links[L4_UDP_BATCH]; /* from a message of that batch to its session's next one */
    uint32_t ready_head, ready_tail;
    struct l4_udp_kernel kernel;
    uint64_t swept_ms; /* when the worker last looked for sessions whose backend is down */
    bool draining;
    uint64_t held_until_ms; /* the listeners are not read before this time; 0: they are read */
};

extern const struct l4_plane l4_plane_udp;

/* Begins to read the listeners that waited for the sessions of the worker before this one. */
void l4_udp_release(struct l4_loop *loop);

/* Counts datagrams that were dropped. */
void l4_udp_drop(const struct l4_loop *loop, uint32_t listener, enum l4_drop why, uint32_t count);

#endif
