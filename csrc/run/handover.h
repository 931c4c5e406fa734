/* The hand-over of live sessions from one worker to another, of this program or of a later one.
 *
 * Two workers share a socket of kind SOCK_SEQPACKET. The giver stops a session where it
 * is, takes its sockets out of its epoll set and offers it: a record (run/handover_record.h) with
 * the two sockets and the pipes that hold bytes. The taker puts it into a row of its own, counts
 * it, and answers before it moves a byte. On "taken" the giver forgets it; on "not taken" (no room,
 * a backend it does not know) or at the socket's end without an answer it goes on serving it. So
 * who dies takes with it what it serves, and never what is on its way: what was not answered was
 * not touched.
 *
 * While an answer is on its way a session has its place twice, in the columns of both workers: a
 * limit may seem reached that is not, none is ever passed.
 */
#ifndef L4_RUN_HANDOVER_H
#define L4_RUN_HANDOVER_H

#include "run/loop.h"

enum l4_handover_role { L4_HANDOVER_FREE, L4_HANDOVER_GIVES, L4_HANDOVER_TAKES };

struct l4_offer { /* a session that was offered and not yet answered */
    uint32_t slot;
    uint32_t serial;             /* 0: none */
    enum l4_session_state state; /* that it had, and has again if it is not taken */
};

struct l4_handover {
    int fd;
    uint32_t role;   /* enum l4_handover_role */
    uint32_t number; /* the supervisor's, to tell it how this ended */
    uint32_t left;   /* sessions still to be offered; L4_NONE: all, as long as there are any */
    bool flows;      /* UDP sessions are still to be offered; they go first */
    bool flows_only; /* ... and nothing else: those of place `place` of `places` */
    uint32_t places, place;
    uint32_t flow_cursor;
    uint32_t moved;
    uint32_t cursor; /* the TCP session row to look at next */
    uint32_t waiting;
    uint64_t retry_ms; /* not before: what could not move is offered again */
    struct l4_offer offers[L4_HANDOVER_WINDOW];
};

/* Takes and gives back the memory for hand-overs; 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int l4_handover_start(struct l4_loop *loop);
void l4_handover_finish(struct l4_loop *loop);

/* Begins to give up to count sessions over fd, which it takes over. With L4_NONE it goes on until
 * none is held, for a worker that leaves. The supervisor is told at the end. */
void l4_handover_give(struct l4_loop *loop, int fd, uint32_t number, uint32_t count);

/* Begins to give the UDP sessions that core/steer.h gives to this place of so many. */
void l4_handover_give_flows(struct l4_loop *loop, int fd, uint32_t number, uint32_t places,
                            uint32_t place);

/* Begins to take sessions over fd, which it takes over, until the giver closes it. */
void l4_handover_take(struct l4_loop *loop, int fd, uint32_t number);

/* Something came over the socket of a hand-over. */
void l4_handover_event(struct l4_loop *loop, uint32_t index);

/* Offers again what could not move, when its time has come. */
void l4_handover_revisit(struct l4_loop *loop);

/* Milliseconds until l4_handover_revisit has something to do; -1: nothing. */
int l4_handover_wait_ms(const struct l4_loop *loop);

/* Ends all hand-overs. Sessions on offer go on here, in the state that they had. */
void l4_handover_close_all(struct l4_loop *loop);

#endif
