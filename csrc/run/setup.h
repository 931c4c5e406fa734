/* What a worker is started with: its listening sockets, and its channels to and from the
 * supervisor. */
#ifndef L4_RUN_SETUP_H
#define L4_RUN_SETUP_H

#include "shm/table.h"

/* One listening socket of a worker. */
struct l4_bound {
    int fd;
    uint32_t listener; /* the listener's row */
    /* The supervisor's number of this address. The row may be another address's later. */
    uint32_t tag;
    bool exclusive;  /* shared with other workers (unix): an event wakes only one worker */
    bool closing;    /* queued clients are still accepted, then the socket is closed */
    uint32_t number; /* the number of the request that closes it; told back when that is done */
};

struct l4_worker_setup {
    struct l4_table table;
    uint32_t index;
    const struct l4_bound *bounds;
    uint32_t bound_count;
    int command_fd;     /* eventfd: the supervisor put a command */
    int mailbox_fd;     /* messages of the supervisor: run/mailbox.h; -1: none */
    int event_fd;       /* eventfd: this worker put an event */
    const int *wakeups; /* each worker's command_fd, by index: wakes it when a place is free */
    uint32_t wakeup_count;
    int vault_fd;       /* certificates and keys, run/vault.h; 0: none */
    int cache_fd;       /* the memory of all caches, http/caches.h; 0: none */
    int gate_fd;        /* the gate of forward proxies, shm/gate.h; 0: none */
    int gate_wake_fd;   /* eventfd: a question was asked there */
    int record_fd;      /* pieces for the recorder, shm/record.h; 0: none */
    int record_wake_fd; /* eventfd: much waits for it */
    int flows_fd;       /* the kernel's map of flows, packet/forward.h; 0: none */
    int lifeline_fd;    /* reads end-of-file when the supervisor is gone */
    /* UDP listeners are not read before the sessions of the worker before this one have come, or
     * L4_UDP_HOLD_MS have passed. */
    bool hold_udp;
};

/* Returns how many listening sockets one worker can have: one for each listener row, and as many
 * that are closing. */
static inline uint32_t l4_bounds_room(const struct l4_table *table)
{
    return 2 * table->plan.caps.listeners;
}

#endif
