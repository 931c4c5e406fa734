/* Bytes that a session has accepted for a side whose kernel has not acknowledged them yet.
 *
 * Nothing tells that a socket's queue is empty, so it is looked at: a queue that shrinks between
 * two looks is activity.
 */
#ifndef L4_RUN_DELIVERY_H
#define L4_RUN_DELIVERY_H

#include "run/row.h"

/* Bytes for one side that are still on their way: in the pipe or in the socket. */
uint64_t l4_delivery_left(const struct l4_session *s, enum l4_side to);

/* A look, after which `left` bytes are still on their way. Has a peer acknowledged bytes since the
 * last look? Then the session is not idle: active_ms says so. Also true of a first look that finds
 * bytes on their way. */
bool l4_delivery_goes_on(struct l4_loop *loop, uint32_t index, uint64_t left);

/* The look at both sides together. */
static inline bool l4_delivery_look(struct l4_loop *loop, uint32_t index)
{
    const struct l4_session *s = l4_session_at(loop, index);
    return l4_delivery_goes_on(loop, index,
                               l4_delivery_left(s, L4_CLIENT) + l4_delivery_left(s, L4_BACKEND));
}

#endif
