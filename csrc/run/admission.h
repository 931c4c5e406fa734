/* Admission rules: may this client come in, and if not, how is it turned away?
 *
 * Asked once for each session, when the address that counts is known: the socket's, or the one that
 * a trusted PROXY header told. What concerns the source comes first, so that one who is turned away
 * for himself uses up nothing of what his listener has for all. A rule in dry run only counts whom
 * it would have turned away.
 */
#ifndef L4_RUN_ADMISSION_H
#define L4_RUN_ADMISSION_H

#include "run/row.h"
#include "run/stage.h"

/* Takes a place among the listener's sessions, if the session has none yet: before its PROXY header
 * is read. L4_STAY: it may go on. Else how it is turned away. */
struct l4_step l4_admission_place(struct l4_loop *loop, uint32_t index);

/* Applies all rules. Called once, when the client's address is known. Answers as
 * l4_admission_place does. */
struct l4_step l4_admission_client(struct l4_loop *loop, uint32_t index);

/* How a client is turned away for a reason that is one of the rejections. */
struct l4_step l4_admission_refuse(const struct l4_loop *loop, struct l4_session *s,
                                   enum l4_reason reason, enum l4_refusal refusal);

/* Counts a session that another process admitted and this one takes over: without limits, for its
 * places are given back by the giver in the next moment. */
void l4_admission_again(struct l4_loop *loop, uint32_t index);

/* What listeners count has changed: counts the sessions that are there. Those who are too many by
 * now stay. */
void l4_admission_recount(struct l4_loop *loop);

/* Gives back the places that the session has by its admission. */
void l4_admission_leave(struct l4_loop *loop, struct l4_session *s);

#endif
