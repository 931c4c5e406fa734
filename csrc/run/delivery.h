/* Bytes that a session has accepted for a side whose kernel has not acknowledged them yet.
 *
 * The kernel does not report that a socket's send queue is empty, so the worker asks from time to
 * time. A queue that shrinks between two looks is activity.
 */
#ifndef L4_RUN_DELIVERY_H
#define L4_RUN_DELIVERY_H

#include "run/row.h"

/* Returns the bytes for one side that are not acknowledged yet: in the pipe or in the socket. */
uint64_t l4_delivery_left(const struct l4_session *s, enum l4_side to);

/* Notes a look that found `left` unacknowledged bytes. Returns true if a peer has acknowledged
 * bytes since the last look, or if this is the first look and there are any. The session is not
 * idle then, and active_ms says so. */
bool l4_delivery_goes_on(struct l4_loop *loop, uint32_t index, uint64_t left);

/* Looks at both sides together. */
static inline bool l4_delivery_look(struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    return l4_delivery_goes_on(loop, index,
                               l4_delivery_left(s, L4_CLIENT) + l4_delivery_left(s, L4_BACKEND));
}

#endif
