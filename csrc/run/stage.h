/* What a stage of a TCP session is, and what it may answer.
 *
 * A session is in one state at a time, and each state has a stage: a row of functions that say what
 * happens there. A stage never calls another stage and never ends a session: it answers what comes
 * next, and one driver (run/session.h) carries the answer out. So a session that has ended is never
 * handed to a stage again, and a retry is a turn of the driver's loop.
 */
#ifndef L4_RUN_STAGE_H
#define L4_RUN_STAGE_H

#include "base/half.h"
#include "base/reason.h"
#include "shm/layout.h"

struct l4_loop;

enum l4_step_kind {
    L4_STAY, /* in this state, until something happens */
    L4_GO,   /* to another state */
    L4_END   /* the session ends */
};

struct l4_step {
    uint8_t kind;   /* enum l4_step_kind */
    uint8_t state;  /* GO: enum l4_session_state */
    uint8_t reason; /* END: why. GO: why it is to end there, L4_END_NONE: nothing is to end it */
};

static inline struct l4_step l4_stay(void)
{
    return (struct l4_step){.kind = L4_STAY};
}

static inline struct l4_step l4_go(enum l4_session_state state)
{
    return (struct l4_step){.kind = L4_GO, .state = (uint8_t)state};
}

/* To a state in which it only waits for its end: RESET or TARPIT. */
static inline struct l4_step l4_go_to_end(enum l4_session_state state, enum l4_reason reason)
{
    return (struct l4_step){.kind = L4_GO, .state = (uint8_t)state, .reason = (uint8_t)reason};
}

static inline struct l4_step l4_end(enum l4_reason reason)
{
    return (struct l4_step){.kind = L4_END, .reason = (uint8_t)reason};
}

/* It ends because of an error of this host's: -errno. */
static inline struct l4_step l4_end_by_error(struct l4_session *s, int error)
{
    s->error = -error;
    return l4_end(L4_END_ERROR);
}

/* All functions get a session that is in the stage's state. NULL: that never happens, or nothing is
 * to be done about it. */
struct l4_stage {
    struct l4_step (*enter)(struct l4_loop *loop, uint32_t index);
    /* The kernel's word on one of its sockets. */
    struct l4_step (*event)(struct l4_loop *loop, uint32_t index, enum l4_side side,
                            uint32_t events);
    struct l4_step (*timeout)(struct l4_loop *loop, uint32_t index);
    /* Work left over from an earlier turn, or its turn in a queue, has come. */
    struct l4_step (*resume)(struct l4_loop *loop, uint32_t index);
    /* It was offered to another worker and comes back, or comes from one, with its sockets watched.
     * NULL: a session cannot be handed over in this state. */
    struct l4_step (*again)(struct l4_loop *loop, uint32_t index);
    /* Gives back what the session has by this stage, whatever way out it takes; also if `enter`
     * took only a part of it. */
    void (*leave)(struct l4_loop *loop, uint32_t index);
};

#endif
