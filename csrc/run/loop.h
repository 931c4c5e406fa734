/* What a worker's loop holds, and what everybody in a worker may ask of it: its epoll set, its
 * clock, its events to the supervisor, the bells of other workers.
 *
 * A worker owns its epoll set, its pipes, its scratch buffer and its rows of the shared table
 * (worker, column, tally, sessions). It does not own the listening sockets' life: the supervisor
 * holds another descriptor of each. All memory is taken before the loop starts.
 */
#ifndef L4_RUN_LOOP_H
#define L4_RUN_LOOP_H

#include <sys/epoll.h>

#include "core/shed.h"
#include "core/timer.h"
#include "io/pipe.h"
#include "io/ports.h"
#include "io/pump.h"
#include "run/list.h"
#include "run/setup.h"

struct l4_lines;
struct l4_worker_tls;
struct l4_udp;
struct l4_handover;

struct l4_loop {
    struct l4_worker_setup setup;
    struct l4_table *table;
    struct l4_worker *row;
    struct l4_session *sessions; /* this worker's rows: those of TCP, then those of UDP */
    int epoll;
    uint64_t now_us, now_ms;
    struct l4_pipes pipes;
    struct l4_pump pump;
    struct l4_ports ports; /* local ones towards backends */
    struct l4_wheel wheel;
    struct l4_lines *lines;        /* of clients that wait for a place: run/lines.h */
    struct l4_bound *bounds;       /* fd -1: closed */
    struct l4_udp *udp;            /* NULL: no UDP listener; run/udp.h */
    uint32_t bound_count;          /* places of bounds ever used */
    uint32_t closing;              /* how many bounds are closing */
    struct l4_handover *handovers; /* L4_HANDOVERS places: run/handover.h */
    uint32_t handover_count;       /* how many are in use */
    uint32_t capacity;             /* sessions it may hold */
    uint32_t tarpits;              /* sessions in the tarpit */
    uint32_t held;                 /* session rows that are not free */
    uint32_t fresh;                /* rows from here on were never used */
    struct l4_list free, ended, ready;
    uint32_t serial;           /* of the last session opened */
    uint64_t picks;            /* made so far; run/pick_trace.h */
    uint64_t random;           /* state of core choices; base/random.h */
    uint64_t resume_ms;        /* while paused: when to try again */
    uint64_t alone_end_ms;     /* without its supervisor: its end; 0: it has one */
    struct l4_shed_memo shed;  /* run/shed.h */
    uint64_t portless_told_ms; /* when the supervisor was told last that ports are out */
    struct l4_worker_tls *tls; /* run/vault.h; NULL: there is no vault */
    bool listening;            /* the listeners are in the epoll set */
    bool paused;
    bool draining;
    bool parted; /* its sessions go to another program, which has a table of its own */
    bool stopping;
    int error; /* -errno that ends the loop */
};

/* A session of this worker, by its row. */
static inline struct l4_session *l4_session_at(const struct l4_loop *loop, uint32_t index)
{
    return &loop->sessions[index];
}

/* What a listening socket of this worker speaks. */
static inline enum l4_protocol l4_loop_protocol(const struct l4_loop *loop, uint32_t bound)
{
    return (enum l4_protocol)l4_table_listener(loop->table, loop->bounds[bound].listener)->protocol;
}

/* The sooner of two waits in milliseconds; -1 is none. */
static inline int l4_sooner_ms(int a, int b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* What a session's sockets are watched for. */
#define L4_SOCKET_EVENTS ((uint32_t)(EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET))

/* What an epoll event is about, in its 64 bits of data: what << 32 | index. From L4_WATCH_SESSION
 * on it is about a session's socket: l4_watch_session. */
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

/* Adds fd to the epoll set. Returns 0 or -errno. */
__attribute__((warn_unused_result)) int
l4_loop_watch(const struct l4_loop *loop, int fd, uint32_t events, uint32_t what, uint32_t index);
void l4_loop_unwatch(const struct l4_loop *loop, int fd);

/* The clock now; the loop's own time is that of its turn's begin. */
uint64_t l4_loop_clock_us(void);
void l4_loop_read_clock(struct l4_loop *loop);

/* Adds one to an eventfd, or to the bell of a worker, if that has one. */
void l4_loop_ring(int fd);
void l4_loop_ring_worker(const struct l4_loop *loop, uint32_t worker);

/* Tells the supervisor; that a connect found no free local port (counted) only at times. */
void l4_loop_event(struct l4_loop *loop, enum l4_event_kind kind, uint32_t a, uint64_t b);
void l4_loop_portless(struct l4_loop *loop);

#endif
