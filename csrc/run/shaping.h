/* Traffic shaping and time limits: how fast a session may be, how old it may become, and how soon
 * its client must speak.
 *
 * A session that has used up its bandwidth, its source's or its user's, is not read until its
 * bucket has tokens again. Bytes sent to it meanwhile wait in the kernel, which slows their sender
 * down. A stream of HTTP/2 uses the bandwidth of its connection.
 */
#ifndef L4_RUN_SHAPING_H
#define L4_RUN_SHAPING_H

#include "run/loop.h"

/* Begins the limits of a session, whose listener has some. */
void l4_shaping_begin(struct l4_loop *loop, uint32_t index);

/* The session gets a bandwidth limit, besides those of its listener. */
void l4_shaping_add_bytes(struct l4_loop *loop, uint32_t index);

/* Has the session used up its bandwidth for now? Then its timer will wake it (L4_PACED_WAITS). If
 * not, loop->pump.max is what it may move at once; 0: any number of bytes. The caller sets it back
 * to 0. */
bool l4_shaping_holds(struct l4_loop *loop, uint32_t index);

/* The session has moved `bytes` bytes. It may have no limit. */
void l4_shaping_spend(const struct l4_loop *loop, uint32_t index, uint64_t bytes);

/* Returns the limit of time that the session has exceeded; L4_END_NONE: none. */
enum l4_reason l4_shaping_over(const struct l4_loop *loop, uint32_t index);

/* Returns ms, or the milliseconds until a time limit of the session if those are fewer. */
uint64_t l4_shaping_left_ms(const struct l4_loop *loop, uint32_t index, uint64_t ms);

/* The bits of struct l4_session.paced: which limits the session has, and what has come of them. */
enum l4_paced {
    L4_PACED_BYTES = 1 << 0, /* it has a bandwidth limit */
    L4_PACED_TIME = 1 << 1,  /* it has a limit of its age or for its first byte */
    L4_PACED_WAITS = 1 << 2, /* it waits for bandwidth, and its timer will wake it */
    L4_PACED_TOLD = 1 << 3,  /* it was counted as slowed */
    L4_PACED_AGE = 1 << 4,   /* it has a limit of its age: facts.ends_ms is valid */
};

#endif
