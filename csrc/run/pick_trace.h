/* Records some choices of a backend, so that operators can see afterwards what was chosen, and
 * among which backends (shm/trace.h). */
#ifndef L4_RUN_PICK_TRACE_H
#define L4_RUN_PICK_TRACE_H

#include "core/pick.h"
#include "run/loop.h"

/* How the backend of a choice was found. L4_PICK_NAMED: by the QUIC connection id. */
enum l4_pick_how { L4_PICK_BALANCED, L4_PICK_STICKY, L4_PICK_NAMED };

/* Called right after a choice for session s: records it, if it is one of those to record. */
void l4_pick_trace(struct l4_loop *loop, const struct l4_session *s,
                   const struct l4_pick_request *request, const struct l4_pick_answer *answer,
                   enum l4_pick_how how);

#endif
