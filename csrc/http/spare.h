/* Spare connections: connections to backends between two requests, kept per worker and backend.
 *
 * A connection of HTTP to a backend is watched by its descriptor from the connect on, whichever
 * session uses it: taking one and giving it back costs no system call. The word that epoll gives
 * back has the descriptor and a number of its use, so that an event of a descriptor that was closed
 * and given anew in the same loop iteration is told from its own.
 *
 * A spare connection on which the backend says anything, or which it closes, is closed. The one
 * that was given back last is taken first.
 */
#ifndef L4_HTTP_SPARE_H
#define L4_HTTP_SPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/half.h"

struct l4_loop;
struct l4_session;

/* A connection to a backend, by its descriptor. */
struct l4_conn {
    struct l4_half half;   /* while it is spare; fd -1: it is not */
    uint32_t session;      /* row of the session that uses it, or used it last */
    uint32_t backend;      /* while it is spare */
    uint32_t serial;       /* ... of the backend's row */
    uint32_t newer, older; /* neighbours in the backend's list: descriptor + 1; 0: none */
    uint32_t since_ms;     /* low 32 bits of CLOCK_MONOTONIC: since when it is spare */
    uint32_t requests;     /* that it has carried */
    uint16_t use;          /* number of this use of the descriptor */
};

struct l4_spare_list {       /* of one backend */
    uint32_t newest, oldest; /* descriptor + 1; 0: none */
    uint32_t count;
    uint32_t learnt_ms; /* the backend closes connections that rest for so long; 0: not known */
};

struct l4_spares {
    struct l4_conn *conns;       /* by descriptor */
    struct l4_spare_list *lists; /* by backend */
    uint32_t conn_count, list_count;
    uint32_t count;    /* of all spare connections */
    uint64_t sweep_ms; /* CLOCK_MONOTONIC of the next look for old ones */
};

/* l4_spares_start allocates; returns 0 or -ENOMEM. l4_spares_finish closes them and frees, whatever
 * part was allocated. */
__attribute__((warn_unused_result)) int l4_spares_start(struct l4_loop *loop);
void l4_spares_finish(struct l4_loop *loop);

/* Puts the socket towards the session's backend into the epoll set. Returns 0 or -errno. */
__attribute__((warn_unused_result)) int l4_spare_watch(struct l4_loop *loop, uint32_t index);

/* Takes a spare connection to the session's backend, for its request. Returns false if there is
 * none that may carry it. */
bool l4_spare_take(struct l4_loop *loop, uint32_t index);

/* The exchange is over: keeps the session's connection to its backend, or closes it. */
void l4_spare_give(struct l4_loop *loop, uint32_t index);

/* The epoll events of a connection, by the word that it is watched with. Returns the row of the
 * session that uses it; L4_NONE: none does, and what was to be done is done. */
uint32_t l4_spare_event(struct l4_loop *loop, uint32_t word, uint32_t events);

/* Closes connections that have been spare for too long or whose backend is gone, from time to
 * time. l4_spare_wait_ms: the milliseconds until the next time; -1: there are none. */
void l4_spare_sweep(struct l4_loop *loop);
int l4_spare_wait_ms(const struct l4_loop *loop);

/* Closes those to a backend; L4_NONE: all. */
void l4_spare_close_all(struct l4_loop *loop, uint32_t backend);

#endif
