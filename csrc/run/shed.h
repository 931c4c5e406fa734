/* Load shedding: ends sessions that have been idle for long, so that the sessions of one source
 * cannot keep all other clients out.
 *
 * The worker does so only when a client waits and there is no room for it: at the worker's own
 * limit, at the limit of all workers, or when this host has no descriptor or memory for a socket.
 * It takes a bounded sample of session rows (all of them, while there are few), core/shed.h
 * chooses some, and these end. At a limit of all workers, the sample is of all workers' sessions.
 * The worker that has the sessions of the largest source is asked to end some, and finds out
 * itself which of them are idle longest.
 */
#ifndef L4_RUN_SHED_H
#define L4_RUN_SHED_H

#include "run/loop.h"

enum l4_shed_answer {
    L4_SHED_NOTHING, /* nobody waits, or no session should end */
    L4_SHED_ENDED, /* some sessions of this worker ended: there is room after this loop iteration */
    L4_SHED_ASKED  /* other workers are asked to end sessions */
};

/* Sheds load: `waiting` clients find no room. everywhere: room in any worker would do. Takes a
 * sample at most once in a loop iteration. */
enum l4_shed_answer l4_shed(struct l4_loop *loop, uint32_t waiting, bool everywhere);

/* This worker was woken: ends sessions if another worker has asked for that. */
void l4_shed_asked(struct l4_loop *loop);

/* At the end of a loop iteration: sheds load if this host had no socket for a backend. */
void l4_shed_turn(struct l4_loop *loop);

#endif
