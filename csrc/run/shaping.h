/* How fast a session may be, how old it may become, and how soon its client must speak.
 *
 * A session that has used its bandwidth, or whose source has, is not read until its bucket has
 * something again; what it is sent meanwhile waits in the kernel, which slows its sender down.
 */
#ifndef L4_RUN_SHAPING_H
#define L4_RUN_SHAPING_H

#include "run/loop.h"

/* A session of a listener with such limits was accepted. */
void l4_shaping_begin(struct l4_loop *loop, uint32_t index);

/* Milliseconds until the session may move bytes again; 0: it may now, at most *most_bytes. */
uint64_t l4_shaping_wait_ms(struct l4_loop *loop, uint32_t index, uint32_t *most_bytes);

/* The session has moved so many bytes. */
void l4_shaping_spend(struct l4_loop *loop, uint32_t index, uint64_t bytes);

/* Has its time come? L4_END_NONE: no. */
enum l4_reason l4_shaping_over(const struct l4_loop *loop, uint32_t index);

/* ms, or less where its time comes before. */
uint64_t l4_shaping_left_ms(const struct l4_loop *loop, uint32_t index, uint64_t ms);

/* struct l4_session.paced: which limits the session has, and what has come of them. */
enum l4_paced {
    L4_PACED_BYTES = 1 << 0, /* of bandwidth */
    L4_PACED_TIME = 1 << 1,  /* of its age or its first byte */
    L4_PACED_WAITS = 1 << 2, /* its timer is to wake it to go on */
    L4_PACED_TOLD = 1 << 3,  /* that it was slowed has been counted */
    L4_PACED_AGE = 1 << 4,   /* of its age: facts.ends_ms holds */
};

#endif
