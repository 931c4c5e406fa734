/* A plane: one kind of traffic that a worker serves, as a row of functions.
 *
 * The worker, its listening sockets (run/bounds.h) and the supervisor's commands know rows only. A
 * later plane is its own files and a row in planes.c. A listener's protocol says which plane its
 * sockets belong to.
 */
#ifndef L4_RUN_PLANE_H
#define L4_RUN_PLANE_H

#include "run/loop.h"

enum { L4_PLANES = 2 }; /* by enum l4_protocol */

/* NULL: nothing is to be done. A bound is a place among the loop's listening sockets. */
struct l4_plane {
    const char *name;
    bool knocks; /* its listening sockets bring new clients only, who come after all else */

    /* Plans with so many descriptors, and returns how many of them are this plane's. */
    uint64_t (*plan)(struct l4_loop *loop, uint64_t descriptors);
    /* Takes what it needs and watches its listening sockets; 0 or -errno. finish is the mirror,
     * whatever of it was done. */
    int (*start)(struct l4_loop *loop);
    void (*finish)(struct l4_loop *loop);

    /* A listening socket more; 0 or -errno. */
    int (*add)(struct l4_loop *loop, uint32_t bound);
    /* ... less. True: the caller is to close it. False: this plane closes it when its queue is
     * empty, and tells the supervisor. */
    bool (*remove)(struct l4_loop *loop, uint32_t bound);

    /* The kernel's word on a listening socket, and on a session's. */
    void (*receive)(struct l4_loop *loop, uint32_t bound);
    void (*event)(struct l4_loop *loop, uint32_t index, enum l4_side side, uint32_t events);

    /* A turn: before its events, after them, and when all planes have done that. */
    void (*begin_turn)(struct l4_loop *loop);
    void (*turn)(struct l4_loop *loop);
    void (*end_turn)(struct l4_loop *loop);
    /* Milliseconds until there is something to do in a turn; -1: nothing. */
    int (*wait_ms)(struct l4_loop *loop);

    /* No more clients; drain: those that are queued are still taken. leave: others serve them. */
    void (*drain)(struct l4_loop *loop);
    void (*leave)(struct l4_loop *loop);

    /* Ends every session, or (backend not L4_NONE) every session of one backend. */
    void (*end_all)(struct l4_loop *loop, uint32_t backend, enum l4_reason reason);
    /* Ends the session of this row for an operator, if it is this plane's and has this serial. */
    void (*kill)(struct l4_loop *loop, uint32_t slot, uint32_t serial);
    /* Sessions it holds. */
    uint32_t (*held)(const struct l4_loop *loop);
};

#endif
