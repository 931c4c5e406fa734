/* A worker: one process's loop over its listeners and sessions, from entry to exit in C.
 *
 * It owns its epoll set, its pipes, its scratch buffer and its rows of the shared table (worker,
 * column, tally, sessions). It does not own the listening sockets' life: the supervisor holds
 * another descriptor of each. All memory is taken before the loop starts.
 *
 * It ends when told to (L4_CMD_DRAIN, L4_CMD_STOP). Without its supervisor (the lifeline reads its
 * end) it closes all listeners at once and ends with its TCP sessions or after drain_timeout.
 */
#ifndef L4_RUN_WORKER_H
#define L4_RUN_WORKER_H

#include <sys/epoll.h>

#include "core/shed.h"
#include "core/timer.h"
#include "io/pipe.h"
#include "io/ports.h"
#include "io/pump.h"
#include "run/list.h"
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
    int post_fd;      /* from the supervisor: run/post.h; -1: none */
    int event_fd;     /* eventfd: this worker put an event */
    const int *bells; /* the command_fd of each worker, by index: a place became free */
    uint32_t bell_count;
    int vault_fd;    /* certificates and keys, run/secure.h; 0: none */
    int lifeline_fd; /* reads its end when the supervisor is gone */
    bool hold_udp;   /* UDP listeners wait for the sessions of the worker before this one, at most
                        L4_UDP_HOLD_MS */
};

struct l4_lines;
struct l4_secure;

struct l4_loop {
    struct l4_worker_setup setup;
    struct l4_table *table;
    struct l4_worker *row;
    int epoll;
    uint64_t now_us, now_ms;
    struct l4_pipes pipes;
    struct l4_pump pump;
    struct l4_ports ports; /* local ones towards backends */
    struct l4_wheel wheel;
    struct l4_lines *lines;  /* of clients that wait: run/queue.h */
    struct l4_bound *bounds; /* fd -1: closed */
    struct l4_udp *udp;      /* NULL: no UDP listener; run/udp.h */
    uint32_t bound_count;    /* places of bounds ever used */
    uint32_t closing;        /* how many bounds are closing */
    struct l4_hand *hands;   /* L4_HANDS places: run/hand.h */
    uint32_t hand_count;     /* how many are in use */
    uint32_t capacity;       /* sessions it may hold */
    uint32_t tarpits;        /* sessions in the tarpit */
    uint32_t held;           /* session rows that are not free */
    uint32_t fresh;          /* rows from here on were never used */
    struct l4_list free, ended, ready;
    uint32_t serial;           /* of the last session opened */
    uint64_t picks;            /* made so far; run/watch.h */
    uint64_t random;           /* state of core choices; base/random.h */
    uint64_t resume_ms;        /* while paused: when to try again */
    uint64_t alone_end_ms;     /* without its supervisor: its end; 0: it has one */
    struct l4_shed_memo shed;  /* run/shed.h */
    uint64_t portless_told_ms; /* when the supervisor was told last that ports are out */
    struct l4_secure *secure;  /* NULL: there is no vault */
    bool listening;            /* the listeners are in the epoll set */
    bool paused;
    bool draining;
    bool parted; /* its sessions go to another program, which has a table of its own */
    bool stopping;
    int error; /* -errno that ends the loop */
};

/* Runs until the worker's end. Returns 0, or -errno if it could not start or lost its epoll. */
int l4_worker_run(const struct l4_worker_setup *setup);

/* What a session's sockets are watched for. */
#define L4_SOCKET_EVENTS ((uint32_t)(EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET))

/* What an epoll event is about, in its 64 bits of data: what << 32 | index. */
enum l4_watch {
    L4_WATCH_COMMAND,
    L4_WATCH_LIFELINE,
    L4_WATCH_LISTENER,
    L4_WATCH_UDP_LISTENER,
    L4_WATCH_FLOW,
    L4_WATCH_CLIENT,
    L4_WATCH_BACKEND,
    L4_WATCH_POST,
    L4_WATCH_HAND
};

/* Adds fd to the epoll set. Returns 0 or -errno. */
__attribute__((warn_unused_result)) int l4_loop_watch(const struct l4_loop *loop, int fd,
                                                      uint32_t events, enum l4_watch what,
                                                      uint32_t index);

/* No more clients, none from the queues: others have the sockets. Ends with its last session. */
void l4_loop_leave(struct l4_loop *loop);

/* Tells the supervisor; that a connect found no free local port (counted) only at times. */
void l4_loop_portless(struct l4_loop *loop);
void l4_loop_event(struct l4_loop *loop, enum l4_event_kind kind, uint32_t a, uint64_t b);

#endif
