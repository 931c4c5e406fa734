/* How fast a session may be, how old it may become, and how soon its client must speak.
 *
 * A session that has used its bandwidth, or whose source has, is not read until its bucket has
 * something again; what it is sent meanwhile waits in the kernel, which slows its sender down.
 */
#ifndef L4_RUN_PACE_H
#define L4_RUN_PACE_H

#include "run/worker.h"

/* A session of a listener with such limits was accepted. */
void l4_pace_begin(struct l4_loop *loop, uint32_t index);

/* Milliseconds until it may move bytes again; 0: it may now, and the pump is told how many. */
uint64_t l4_pace_wait_ms(struct l4_loop *loop, uint32_t index);

/* It has moved so many bytes. Ends what l4_pace_wait_ms told the pump. */
void l4_pace_spend(struct l4_loop *loop, uint32_t index, uint64_t bytes);

/* Has its time come? L4_END_NONE: no. */
enum l4_reason l4_pace_over(const struct l4_loop *loop, uint32_t index);

/* ms, or less where its time comes before. */
uint64_t l4_pace_left_ms(const struct l4_loop *loop, uint32_t index, uint64_t ms);

enum l4_paced {                          /* struct l4_session.paced */
                L4_PACED_BYTES = 1 << 0, /* it has a limit of bandwidth */
                L4_PACED_TIME = 1 << 1,  /* ... of its age or its first byte */
                L4_PACED_AGE = 1 << 4,   /* ... of its age: facts.ends_ms holds */
                L4_PACED_WAITS = 1 << 2, /* its timer is to wake it to go on */
                L4_PACED_TOLD = 1 << 3   /* that it was slowed has been counted */
};

#endif
