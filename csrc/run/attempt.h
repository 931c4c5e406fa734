/* An attempt to reach a backend: the pick, and what a session has at its backend from then on.
 *
 * A session holds a place at its backend from the pick to its end, or until the attempt has failed.
 * A backend that cannot be reached is counted, and another one may be tried before any byte was
 * forwarded.
 */
#ifndef L4_RUN_ATTEMPT_H
#define L4_RUN_ATTEMPT_H

#include "core/pick.h"
#include "run/row.h"
#include "run/stage.h"

/* Picks a backend and takes a place at it: s->backend, L4_NONE without one. tried: how many of the
 * backends that the session could not reach are not to be picked again. */
struct l4_pick_answer l4_attempt_pick(struct l4_loop *loop, struct l4_session *s, uint32_t tried);

/* The attempt failed, error is -errno: counts that and leaves the backend. Answers PICK, or the end
 * if no further attempt is allowed. */
struct l4_step l4_attempt_failed(struct l4_loop *loop, uint32_t index, int error);

/* The session's timer fired while the attempt is in progress: fails it if its time is over. */
struct l4_step l4_attempt_timeout(struct l4_loop *loop, uint32_t index);

/* The attempt succeeded: counts that. */
void l4_attempt_succeeded(struct l4_loop *loop, struct l4_session *s);

/* A client that is sticky to its backend stays so. Returns after how long to say so again, and at
 * most `most`. */
uint64_t l4_attempt_refresh(const struct l4_loop *loop, const struct l4_session *s, uint64_t most);

/* Closes the socket towards the backend and gives its place back, if there is one. */
void l4_attempt_leave(struct l4_loop *loop, struct l4_session *s);

/* The next program has the session: its place stays taken here, because it is taken there. */
void l4_attempt_part(struct l4_loop *loop, struct l4_session *s);

#endif
