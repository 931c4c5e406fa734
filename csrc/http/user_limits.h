/* What each user of a forward proxy may have: connections to the outside, and bytes a second.
 *
 * A user is counted in the table of sources (shm/limits.h), so the limits are exact over all
 * workers and after a worker's death. The name is what was proven to the policy process; a client
 * that nobody knows has no such limits. A place is held from before the connect until its
 * connection is left, and goes with a tunnel to another worker or program.
 */
#ifndef L4_HTTP_USER_LIMITS_H
#define L4_HTTP_USER_LIMITS_H

#include "run/row.h"

/* Takes one of the connections that the session's user may have. Returns false if he has as many
 * as he may. */
__attribute__((warn_unused_result)) bool l4_user_take(struct l4_loop *loop, uint32_t index);

/* Gives it back, if the session holds one. */
void l4_user_drop(const struct l4_loop *loop, struct l4_session *s);

/* The session came from another worker, where its user had this hash (0: it has none): counts it,
 * without a limit. */
void l4_user_again(struct l4_loop *loop, uint32_t index, uint64_t hash);

/* Returns the hash of the session's user; 0: it has none that is counted. */
uint64_t l4_user_hash(const struct l4_loop *loop, const struct l4_session *s);

/* Returns the bytes a second that the session's user may have, and their bucket; 0: any number. */
uint64_t l4_user_bandwidth(const struct l4_loop *loop, uint32_t index, _Atomic uint64_t **spent_ns);

#endif
