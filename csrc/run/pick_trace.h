/* Watches some picks, so that people can see afterwards what was chosen among (shm/trace.h). */
#ifndef L4_RUN_PICK_TRACE_H
#define L4_RUN_PICK_TRACE_H

#include "core/pick.h"
#include "run/loop.h"

enum l4_pick_how { L4_PICK_BALANCED, L4_PICK_STICKY, L4_PICK_NAMED }; /* by its QUIC id */

/* Right after a pick for session s: keeps what it was, if this is one of those that are watched. */
void l4_pick_trace(struct l4_loop *loop, const struct l4_session *s,
                   const struct l4_pick_request *request, const struct l4_pick_answer *answer,
                   enum l4_pick_how how);

#endif
