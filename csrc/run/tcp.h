/* What a worker does with all its TCP sessions, turn by turn and at its end. */
#ifndef L4_RUN_TCP_H
#define L4_RUN_TCP_H

#include "run/loop.h"

/* Begins a turn: goes once through the sessions that had work left over. */
void l4_tcp_resume(struct l4_loop *loop);

/* The timers that are due. */
void l4_tcp_expire(struct l4_loop *loop);

/* Serves who waits for places that may have become free in this turn. */
void l4_tcp_serve(struct l4_loop *loop);

/* Ends every session, or (backend not L4_NONE) every session of one backend, whose clients get what
 * it has said. Sessions on offer are another worker's by now, or will be back. */
void l4_tcp_end_all(struct l4_loop *loop, uint32_t backend, enum l4_reason reason);

/* Ends the session of this row for an operator, if its serial is still this one. */
void l4_tcp_kill(struct l4_loop *loop, uint32_t index, uint32_t serial);

#endif
