/* The connection queue of a pool: clients that wait for a place at a backend, as far as workers
 * must know of each other's clients.
 *
 * A client waits in a list of its own worker (run/lines.h). Only the order is shared: each pool
 * gives out turn numbers, and each worker publishes the turn of its oldest client, `head`. The
 * smallest head belongs to the pool's first client; a free place is reported to the worker of that
 * client. No shared list exists that a death could break. A worker that dies is removed by clearing
 * its rows (l4_count_clear), and the clients of other workers keep their order.
 */
#ifndef L4_SHM_QUEUE_H
#define L4_SHM_QUEUE_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "shm/settings.h"

struct l4_table;

/* The queue of a pool. */
struct l4_queue {
    L4_QUEUE_SETTINGS(L4_FIELD)
    alignas(64) _Atomic uint64_t turns; /* all: turns given out so far */
    _Atomic uint32_t waiting;           /* all, through shm/count.h: clients that wait */
};

/* One worker's part of one pool's queue. */
struct l4_wait {
    _Atomic uint64_t head;    /* worker: turn of its oldest client; 0: none waits */
    _Atomic uint32_t waiting; /* worker: its part of the queue's waiting */
};

/* Returns the worker that has the pool's first client; L4_NONE if nobody waits. */
uint32_t l4_queue_first(const struct l4_table *table, uint32_t pool);

#endif
