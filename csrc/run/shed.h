/* Making room under pressure: ending sessions that have been idle for long, so that one source's
 * cannot keep all others out.
 *
 * Looked at only when a client waits and there is no room for it: at the worker's own limit, at the
 * process-wide one, or when this host has no descriptor or memory for a socket. A look takes a
 * bounded sample of session rows (all, while there are few), core/shed.h chooses, and a few go.
 * Where the limit is everybody's, sessions of all workers are looked at, and the worker that has
 * those of the biggest source is asked to end some; it looks for itself which are idle longest.
 */
#ifndef L4_RUN_SHED_H
#define L4_RUN_SHED_H

#include "run/loop.h"

enum l4_shed_answer {
    L4_SHED_NOTHING, /* nobody waits, or nobody is to go */
    L4_SHED_ENDED,   /* some of this worker's ended: there is room after this turn */
    L4_SHED_ASKED    /* other workers are asked to end some of theirs */
};

/* `waiting` clients find no room; everywhere: any worker's room would do. Looks at most once a
 * turn. */
enum l4_shed_answer l4_shed(struct l4_loop *loop, uint32_t waiting, bool everywhere);

/* At the bell: another worker may have asked for some of this one's. */
void l4_shed_asked(struct l4_loop *loop);

/* At the end of a turn: this host had no socket for a backend. */
void l4_shed_turn(struct l4_loop *loop);

#endif
