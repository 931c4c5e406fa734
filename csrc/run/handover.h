/* The hand-over of live sessions from one worker to another, of this program or of a later one.
 *
 * The two workers share a SOCK_SEQPACKET socket. The giver stops a session where it is, takes its
 * sockets out of its epoll set, and offers it. The offer is a record (run/handover_record.h) with
 * the two sockets and the pipes that hold bytes. The taker puts the session into a row of its own,
 * counts it, and answers before it moves a byte. After the answer "taken" the giver forgets the
 * session. After "not taken" (no room, or an unknown backend), or if the socket closes without an
 * answer, the giver continues to serve it. So a worker that dies takes with it the sessions that
 * it serves, and never one that is on offer: an offer that was not answered was not touched.
 *
 * Until the answer arrives, a session has its place twice, in the counts of both workers. A limit
 * may seem to be reached when it is not; no limit is ever exceeded.
 */
#ifndef L4_RUN_HANDOVER_H
#define L4_RUN_HANDOVER_H

#include "run/loop.h"

enum l4_handover_role { L4_HANDOVER_FREE, L4_HANDOVER_GIVES, L4_HANDOVER_TAKES };

/* A session that was offered, and for which no answer has come yet. */
struct l4_offer {
    uint32_t slot;
    uint32_t serial;             /* 0: this place is empty */
    enum l4_session_state state; /* before the offer, and again if the offer is refused */
};

struct l4_handover {
    int fd;
    uint32_t role;   /* enum l4_handover_role */
    uint32_t number; /* the supervisor's number of this hand-over, for the report of its end */
    uint32_t left;   /* sessions still to be offered; L4_NONE: all that there are or will be */
    bool flows;      /* UDP sessions are still to be offered; they go first */
    bool flows_only; /* only UDP sessions are offered: those of `place` among `places` */
    uint32_t places, place;
    uint32_t flow_cursor;
    uint32_t moved;
    uint32_t cursor; /* the next TCP session row to look at */
    uint32_t waiting;
    uint64_t retry_ms; /* when to offer again what could not move; 0: not waiting */
    struct l4_offer offers[L4_HANDOVER_WINDOW];
};

/* Allocates and frees the memory for hand-overs. Returns 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int l4_handover_start(struct l4_loop *loop);
void l4_handover_finish(struct l4_loop *loop);

/* Begins to give up to count sessions over fd, which this worker then owns. With L4_NONE, for a
 * worker that leaves, it goes on until the worker has no session. The supervisor is told at the
 * end. */
void l4_handover_give(struct l4_loop *loop, int fd, uint32_t number, uint32_t count);

/* Begins to give the UDP sessions that core/udp_steering.h assigns to `place` among `places`. */
void l4_handover_give_flows(struct l4_loop *loop, int fd, uint32_t number, uint32_t places,
                            uint32_t place);

/* Begins to take sessions over fd, which this worker then owns, until the giver closes it. */
void l4_handover_take(struct l4_loop *loop, int fd, uint32_t number);

/* The socket of a hand-over is readable. */
void l4_handover_event(struct l4_loop *loop, uint32_t index);

/* Offers again the sessions that could not move, when it is time for that. */
void l4_handover_revisit(struct l4_loop *loop);

/* Returns the milliseconds until l4_handover_revisit has something to do; -1: nothing. */
int l4_handover_wait_ms(const struct l4_loop *loop);

/* Ends all hand-overs. Sessions on offer continue here, in the state that they had. */
void l4_handover_close_all(struct l4_loop *loop);

#endif
