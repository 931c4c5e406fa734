/* A session whose two sides are connected: bytes, ends and resets from each to the other. */
#ifndef L4_RUN_RELAY_H
#define L4_RUN_RELAY_H

#include "run/worker.h"

/* Moves what can be moved in both directions, and acts on the ends it meets. */
void l4_relay(struct l4_loop *loop, uint32_t index);

/* One half was reset and all that it sent has been passed on: the other half is told by a reset
 * too, but not before its peer's kernel has everything, which a reset would take back. */
void l4_relay_pass_reset(struct l4_loop *loop, uint32_t index, int half);

/* Its timer fired: the wheel is early and lazy, so has the time really come? */
void l4_relay_check_idle(struct l4_loop *loop, uint32_t index);

#endif
