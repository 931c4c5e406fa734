/* A worker's UDP side: datagrams from listeners to sessions, and what backends answer.
 *
 * A client's datagram belongs to the session of its address, its destination and its listener
 * (core/flow.h); the session has a socket of its own, connected to its backend. Replies leave
 * through the listener's socket, from the address the client used. Batches all the way: a
 * listener's messages are sorted by session before they are sent on, replies of all sessions wait
 * in one queue until the turn ends or the places are used.
 *
 * It owns the listeners' places in the epoll set and all that struct l4_udp holds; sessions live in
 * the shared table (shm/udp.h), so that who replaces this worker can take them over. What happens
 * to one session is in udp_session.h.
 */
#ifndef L4_RUN_UDP_H
#define L4_RUN_UDP_H

#include "core/flow.h"
#include "core/source.h"
#include "io/dgram.h"
#include "io/flood.h"
#include "run/plane.h"
#include "shm/udp_rows.h"

struct l4_udp_front { /* a UDP listener's socket; as many as the loop's bounds */
    bool open;
    bool wildcard;
    bool six;              /* its socket is one of IPv6 */
    struct l4_addr at;     /* what it is bound to */
    struct l4_flood flood; /* of this address, where more waits than a turn takes */
};

struct l4_udp_peer {         /* what only this worker knows of a session */
    uint32_t bound;          /* the front that it came by */
    uint32_t batch;          /* `first` and `last` are of this batch */
    uint16_t first, last;    /* its messages there */
    uint16_t longest_run[2]; /* longer datagrams cannot be sent in runs: to backend, to client */
    uint32_t next;           /* in the list of those with replies left over */
    bool listed;
    bool ghost; /* another worker has it: run/udp_adopt.h */
};

struct l4_udp {
    struct l4_flows flows;
    struct l4_sources sources;
    struct l4_wheel wheel;
    struct l4_udp_peer *peers;
    struct l4_udp_front *fronts;
    struct l4_dgram_inbox in;       /* from one listener */
    struct l4_dgram_inbox back;     /* from backends; those before back_used wait in replies */
    struct l4_dgram_outbox ahead;   /* to one backend */
    struct l4_dgram_outbox replies; /* to clients, through the front of `replies_bound` */
    uint32_t back_used, replies_bound;
    uint32_t batch;               /* the number of the batch in hand */
    uint32_t opens;               /* sessions that may still be opened in it */
    uint16_t links[L4_UDP_BATCH]; /* to the next message of the same session in it */
    uint32_t ready_head, ready_tail;
    uint64_t swept_ms; /* when it last looked for sessions whose backend is down */
    bool draining;
    uint64_t held_until_ms; /* its listeners are not read before; 0: they are */
};

extern const struct l4_plane l4_plane_udp;

/* Listeners that waited for the sessions of the worker before this one are read from now on. */
void l4_udp_release(struct l4_loop *loop);

/* Counts datagrams that went no further. */
void l4_udp_drop(const struct l4_loop *loop, uint32_t listener, enum l4_drop why, uint32_t count);

#endif
