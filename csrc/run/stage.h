/* A stage of a TCP session: what it is, and what it may answer.
 *
 * A session is in one state at a time, and each state has a stage: a row of functions that say
 * what happens there. A stage never calls another stage and never ends a session: it answers what
 * comes next, and one driver (run/session.h) carries the answer out. So a session that has ended
 * is never handed to a stage again, and a retry is an iteration of the driver's loop.
 */
#ifndef L4_RUN_STAGE_H
#define L4_RUN_STAGE_H

#include "base/half.h"
#include "base/reason.h"
#include "shm/layout.h"

struct l4_loop;

enum l4_step_kind {
    L4_STAY, /* the session stays in this state until something happens */
    L4_GO,   /* the session goes to another state */
    L4_END   /* the session ends */
};

struct l4_step {
    uint8_t kind;  /* enum l4_step_kind */
    uint8_t state; /* L4_GO: enum l4_session_state */
    /* L4_END: the reason of the end. L4_GO: the reason for which the session will end in the new
     * state, or L4_END_NONE. */
    uint8_t reason;
};

static inline struct l4_step l4_stay(void)
{
    return (struct l4_step){.kind = L4_STAY};
}

static inline struct l4_step l4_go(enum l4_session_state state)
{
    return (struct l4_step){.kind = L4_GO, .state = (uint8_t)state};
}

/* The session goes to RESET or TARPIT, states in which it only waits for its end. */
static inline struct l4_step l4_go_to_end(enum l4_session_state state, enum l4_reason reason)
{
    return (struct l4_step){.kind = L4_GO, .state = (uint8_t)state, .reason = (uint8_t)reason};
}

static inline struct l4_step l4_end(enum l4_reason reason)
{
    return (struct l4_step){.kind = L4_END, .reason = (uint8_t)reason};
}

/* The session ends because of an error of this host. error is -errno. */
static inline struct l4_step l4_end_by_error(struct l4_session *s, int error)
{
    s->error = -error;
    return l4_end(L4_END_ERROR);
}

/* The functions of a stage. All get a session that is in the stage's state. A function that is
 * NULL is never called, or has nothing to do. */
struct l4_stage {
    struct l4_step (*enter)(struct l4_loop *loop, uint32_t index);
    /* The epoll events of one of the session's sockets. */
    struct l4_step (*event)(struct l4_loop *loop, uint32_t index, enum l4_side side,
                            uint32_t events);
    struct l4_step (*timeout)(struct l4_loop *loop, uint32_t index);
    /* The session has work left over from an earlier loop iteration, or is first in its queue. */
    struct l4_step (*resume)(struct l4_loop *loop, uint32_t index);
    /* The session comes back from an offer, or arrives from another worker; its sockets are in the
     * epoll set. NULL: a session cannot be handed over in this state. */
    struct l4_step (*again)(struct l4_loop *loop, uint32_t index);
    /* Gives back what the session holds by this stage, whichever way the session leaves it; also
     * if `enter` took only a part of it. */
    void (*leave)(struct l4_loop *loop, uint32_t index);
};

#endif
