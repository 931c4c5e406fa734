/* A worker's loop, and what all parts of a worker use: epoll set, clock, events, eventfds.
 *
 * A worker owns its epoll set, its pipes, its scratch buffer and its rows of the shared table
 * (worker, counters, sessions). The supervisor owns the listening sockets: it holds another
 * descriptor of each. All memory is allocated before the loop starts.
 */
#ifndef L4_RUN_LOOP_H
#define L4_RUN_LOOP_H
#include <sys/epoll.h>

#include "core/shed.h"
#include "core/timer.h"
#include "io/local_ports.h"
#include "io/pipe.h"
#include "io/pump.h"
#include "run/list.h"
#include "run/setup.h"

struct l4_lines;
struct l4_worker_tls;
struct l4_udp;
struct l4_http;
struct l4_handover;

struct l4_loop {
    struct l4_worker_setup setup;
    struct l4_table *table;
    struct l4_worker *row;
    struct l4_session *sessions; /* this worker's rows: TCP sessions, then UDP sessions */
    int epoll;
    uint64_t now_us, now_ms;
    struct l4_pipes pipes;
    struct l4_pump pump;
    struct l4_ports ports; /* local ports towards backends */
    struct l4_wheel wheel;
    struct l4_lines *lines;        /* clients that wait for a place: run/lines.h */
    struct l4_bound *bounds;       /* the listening sockets; fd -1: closed */
    struct l4_udp *udp;            /* NULL: no UDP listener; run/udp.h */
    struct l4_http *http;          /* http/room.h */
    uint32_t bound_count;          /* entries of bounds that were ever used */
    uint32_t closing;              /* how many bounds are closing */
    struct l4_handover *handovers; /* L4_HANDOVERS places: run/handover.h */
    uint32_t handover_count;       /* how many are in use */
    uint32_t capacity;             /* the most TCP sessions that the worker may have */
    uint32_t tarpits;              /* sessions in the state TARPIT */
    uint32_t held;                 /* TCP session rows that are not free */
    uint32_t fresh;                /* TCP session rows from this number on were never used */
    struct l4_list free, ended, ready, pipeless, blockless;
    uint32_t serial;       /* of the last session opened */
    uint64_t picks;        /* choices made so far; run/pick_trace.h */
    uint64_t random;       /* state of the random numbers; base/random.h */
    uint64_t resume_ms;    /* during a pause: when to accept again */
    uint64_t alone_end_ms; /* without a supervisor: when the worker ends; 0: it has a supervisor */
    struct l4_shed_memo shed;  /* run/shed.h */
    uint64_t portless_told_ms; /* when the supervisor was last told that no local port is free */
    struct l4_worker_tls *tls; /* run/vault.h; NULL: there is no vault */
    bool listening;            /* the listening sockets are in the epoll set */
    bool paused, draining, stopping;
    uint64_t leaves_ms; /* when it was told to leave its sessions to other workers; 0: it was not */
    bool comes_to_rest; /* a session has just come to rest that may go to another worker */
    bool parted;        /* the sessions go to another program, which has a table of its own */
    int error;          /* -errno that ends the loop */
};

/* Returns a session of this worker by its row. */
static inline struct l4_session *l4_session_at(const struct l4_loop *loop, uint32_t index)
{
    return &loop->sessions[index];
}

/* Returns the protocol of a listening socket of this worker. */
static inline enum l4_protocol l4_loop_protocol(const struct l4_loop *loop, uint32_t bound)
{
    return (enum l4_protocol)l4_table_listener(loop->table, loop->bounds[bound].listener)->protocol;
}

/* Returns the sooner of two waits in milliseconds; -1 is none. */
static inline int l4_sooner_ms(int a, int b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* The events for which a session's sockets are in the epoll set. */
#define L4_SOCKET_EVENTS ((uint32_t)(EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET))

/* What an epoll event is about. The event's 64 bits of data are this << 32 | an index. Values from
 * L4_WATCH_SESSION on are about a session's socket: l4_watch_session. */
enum l4_watch {
    L4_WATCH_COMMAND,
    L4_WATCH_LIFELINE,
    L4_WATCH_MAILBOX,
    L4_WATCH_HANDOVER,
    L4_WATCH_LISTENER,
    L4_WATCH_SESSION
};

static inline uint32_t l4_watch_session(enum l4_protocol plane, enum l4_side side)
{
    return L4_WATCH_SESSION + 2 * (uint32_t)plane + (uint32_t)side;
}

/* l4_loop_watch: adds fd to the epoll set; returns 0 or -errno. l4_loop_unwatch: takes it out. */
__attribute__((warn_unused_result)) int
l4_loop_watch(const struct l4_loop *loop, int fd, uint32_t events, uint32_t what, uint32_t index);
void l4_loop_unwatch(const struct l4_loop *loop, int fd);

/* l4_loop_clock_us returns the time now; l4_loop_read_clock reads it for this loop iteration. */
uint64_t l4_loop_clock_us(void);
void l4_loop_read_clock(struct l4_loop *loop);

/* l4_loop_ring wakes the reader of an eventfd; l4_loop_ring_worker wakes a worker by its own. */
void l4_loop_ring(int fd);
void l4_loop_ring_worker(const struct l4_loop *loop, uint32_t worker);

/* l4_loop_event: tells the supervisor. l4_loop_portless: counts a connect without a free local
 * port, and tells the supervisor so from time to time. */
void l4_loop_event(struct l4_loop *loop, enum l4_event_kind kind, uint32_t a, uint64_t b);
void l4_loop_portless(struct l4_loop *loop);

#endif
