/* An attempt to reach a backend: the choice of the backend, and what a session holds there from
 * then on.
 *
 * A session holds a place at its backend from the choice to the session's end, or until the
 * attempt fails. A failed attempt is counted, and another backend may be tried as long as no byte
 * was forwarded.
 */
#ifndef L4_RUN_ATTEMPT_H
#define L4_RUN_ATTEMPT_H

#include "core/pick.h"
#include "run/row.h"
#include "run/stage.h"

/* Chooses a backend and takes a place at it. s->backend is the backend, or L4_NONE if there is
 * none. The first `tried` of the backends that the session could not reach are not chosen
 * again. */
struct l4_pick_answer l4_attempt_pick(struct l4_loop *loop, struct l4_session *s, uint32_t tried);

/* The attempt failed with error, which is -errno: counts the failure and leaves the backend.
 * Answers PICK, or the end if no further attempt is allowed. */
struct l4_step l4_attempt_failed(struct l4_loop *loop, uint32_t index, int error);

/* The session's timer fired during the attempt: fails the attempt if its time is over. */
struct l4_step l4_attempt_timeout(struct l4_loop *loop, uint32_t index);

/* The attempt succeeded: counts the success. Answers RELAY, or EXCHANGE for a session of HTTP. */
struct l4_step l4_attempt_succeeded(struct l4_loop *loop, struct l4_session *s);

/* Renews the stickiness of the client to its backend, where the pool has that. Returns after how
 * many milliseconds to do so again, at most `max`. */
uint64_t l4_attempt_refresh(const struct l4_loop *loop, const struct l4_session *s, uint64_t max);

/* Closes the socket towards the backend and gives the session's place there back, if it has
 * one. */
void l4_attempt_leave(struct l4_loop *loop, struct l4_session *s);

/* Leaves the backend of a session that the next program has taken over. The place stays taken in
 * this table, because the session still uses it there. */
void l4_attempt_part(struct l4_loop *loop, struct l4_session *s);

#endif
