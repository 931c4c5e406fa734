/* Clients that wait for a place at a pool's backends: what workers must know of each other's.
 *
 * A client waits in a line of its worker's own (run/lines.h). What is shared is the order: turns
 * are given out pool by pool, and each worker says the turn of its oldest client, `head`. The
 * smallest head is the pool's first client, and its worker is whom a free place is told to. So
 * nothing here is a list that a death could break: a worker that dies is taken out by clearing its
 * rows (l4_count_clear), and the clients of the others go on in their order.
 */
#ifndef L4_SHM_QUEUE_H
#define L4_SHM_QUEUE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

struct l4_table;

struct l4_queue {                       /* of a pool */
    _Atomic uint32_t length;            /* supervisor: clients that may wait; 0: none does */
    _Atomic uint32_t timeout_ms;        /* supervisor: how long one waits at most */
    alignas(64) _Atomic uint64_t turns; /* all: given out so far */
    _Atomic uint32_t waiting;           /* all, through shm/count.h */
};

struct l4_wait {              /* one worker's part of one pool's queue */
    _Atomic uint64_t head;    /* worker: the turn of its oldest client; 0: it has none */
    _Atomic uint32_t waiting; /* worker: its part of the queue's waiting */
};

/* The worker that has the pool's first client; L4_NONE: nobody waits. */
uint32_t l4_queue_first(const struct l4_table *table, uint32_t pool);

#endif
