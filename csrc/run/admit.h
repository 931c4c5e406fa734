/* May this client come in? And if not, how it is told so.
 *
 * Asked once for each session, when the address that counts is known: the socket's, or the one that
 * a trusted PROXY header told. What concerns the source comes first, so that one who is turned away
 * for himself uses up nothing of what his listener has for all. A rule in dry run only counts whom
 * it would have turned away.
 */
#ifndef L4_RUN_ADMIT_H
#define L4_RUN_ADMIT_H

#include "run/worker.h"

/* A place among the listener's sessions, if it has none yet: before its PROXY header is read. True:
 * it may go on. False: it has ended, or is held in the tarpit. */
bool l4_admit_place(struct l4_loop *loop, uint32_t index);

/* Everything, once it is known where it comes from. The same answers. */
bool l4_admit_client(struct l4_loop *loop, uint32_t index);

/* Counts a session that another process admitted and this one takes over: without limits, for its
 * places are given back by the giver in the next moment. */
void l4_admit_again(struct l4_loop *loop, uint32_t index);

/* What listeners count has changed: counts the sessions that are there. Those who are too many by
 * now stay. */
void l4_admit_recount(struct l4_loop *loop);

/* Gives back what it took; when the session ends. */
void l4_admit_leave(struct l4_loop *loop, struct l4_session *s);

/* The bucket of bytes of its source; NULL: it is not counted. */
_Atomic uint64_t *l4_admit_source_spent(const struct l4_loop *loop, const struct l4_session *s);

/* Turns it away for a reason that is one of the rejections. */
void l4_refuse(struct l4_loop *loop, uint32_t index, enum l4_reason reason,
               enum l4_refusal refusal);

/* A session in the tarpit: the kernel's word on its client, and its timer. */
void l4_tarpit_event(struct l4_loop *loop, uint32_t index, uint32_t events);
void l4_tarpit_timeout(struct l4_loop *loop, uint32_t index);

#endif
