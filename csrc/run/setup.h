/* What a worker is started with: its listening sockets, and its ways to and from the supervisor. */
#ifndef L4_RUN_SETUP_H
#define L4_RUN_SETUP_H

#include "shm/table.h"

struct l4_bound { /* one listening socket of this worker */
    int fd;
    uint32_t listener; /* its row */
    uint32_t tag;      /* the supervisor's number of this address: its row may be another's later */
    bool exclusive;    /* shared with other workers (unix): wake one of them only */
    bool closing;      /* what is queued is still taken, then it is closed */
    uint32_t number;   /* of the request that closes it: told when that is done */
};

struct l4_worker_setup {
    struct l4_table table;
    uint32_t index;
    const struct l4_bound *bounds;
    uint32_t bound_count;
    int command_fd;   /* eventfd: the supervisor put a command */
    int mailbox_fd;   /* from the supervisor: run/mailbox.h; -1: none */
    int event_fd;     /* eventfd: this worker put an event */
    const int *bells; /* the command_fd of each worker, by index: a place became free */
    uint32_t bell_count;
    int vault_fd;    /* certificates and keys, run/vault.h; 0: none */
    int lifeline_fd; /* reads its end when the supervisor is gone */
    bool hold_udp;   /* UDP listeners wait for the sessions of the worker before this one, at most
                        L4_UDP_HOLD_MS */
};

/* How many listening sockets one worker can have: all there are, and those that are closing. */
static inline uint32_t l4_bounds_room(const struct l4_table *table)
{
    return 2 * table->plan.caps.listeners;
}

#endif
