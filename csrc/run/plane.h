/* A plane: one kind of traffic that a worker serves, as a row of functions.
 *
 * The worker, its listening sockets (run/bounds.h) and the supervisor's commands know only these
 * rows. A later plane is a set of files, a row in planes.c, a word in enum l4_protocol, and its
 * rules in config/rules/protocols.py and supervisor/sockets. A listener's protocol says which plane
 * its sockets belong to.
 */
#ifndef L4_RUN_PLANE_H
#define L4_RUN_PLANE_H

#include "run/loop.h"

enum { L4_PLANES = 3 }; /* one for each enum l4_protocol */

/* A function that is NULL has nothing to do. `bound` is an index of the loop's listening
 * sockets. */
struct l4_plane {
    const char *name;
    bool knocks; /* an event of a listening socket only means new clients, who come last */

    /* Plans the use of `descriptors` descriptors. Returns how many of them this plane takes. */
    uint64_t (*plan)(struct l4_loop *loop, uint64_t descriptors);
    /* start: allocates what the plane needs and puts its listening sockets into the epoll set;
     * returns 0 or -errno. finish undoes start, whatever part of it was done. */
    int (*start)(struct l4_loop *loop);
    void (*finish)(struct l4_loop *loop);

    /* Adds a listening socket. Returns 0 or -errno. */
    int (*add)(struct l4_loop *loop, uint32_t bound);
    /* Removes a listening socket. Returns true if the caller is to close it; false if this plane
     * closes it when its queue is empty, and tells the supervisor. */
    bool (*remove)(struct l4_loop *loop, uint32_t bound);

    /* receive: a listening socket is readable. event: the epoll events of a session's socket. */
    void (*receive)(struct l4_loop *loop, uint32_t bound);
    void (*event)(struct l4_loop *loop, uint32_t index, enum l4_side side, uint32_t events);

    /* A loop iteration. begin_turn: before the events. turn: after the events. end_turn: after
     * every plane has done its turn. */
    void (*begin_turn)(struct l4_loop *loop);
    void (*turn)(struct l4_loop *loop);
    void (*end_turn)(struct l4_loop *loop);
    /* Returns the milliseconds until a loop iteration has something to do; -1: nothing. */
    int (*wait_ms)(struct l4_loop *loop);

    /* Accepts no more clients. drain: queued clients are still accepted. leave: other workers have
     * the same sockets and serve the queued clients. */
    void (*drain)(struct l4_loop *loop);
    void (*leave)(struct l4_loop *loop);

    /* Ends every session; if backend is not L4_NONE, every session of that backend. */
    void (*end_all)(struct l4_loop *loop, uint32_t backend, enum l4_reason reason);
    /* Ends the session of this row for an operator, if it is one of this plane and has this
     * serial. */
    void (*kill)(struct l4_loop *loop, uint32_t slot, uint32_t serial);
    /* Returns how many sessions the plane has. */
    uint32_t (*held)(const struct l4_loop *loop);
};

#endif
