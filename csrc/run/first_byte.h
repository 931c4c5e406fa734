/* What a session tells of its backend's response time: core/response.h.
 *
 *   begins to connect -> connected -> asked (the client's first byte was passed on) -> answered
 *
 * From the first attempt to the backend's first byte a session is owed an answer. In a pool that
 * chooses by response time that is counted over all workers, so that a backend which accepts and
 * then is silent does not look fast: as long as it owes, its time is at least that of its silence.
 * After L4_FIRST_BYTE_PATIENCE_MS a session counts no longer: one that is stuck for good does not
 * keep its backend from being tried again.
 */
#ifndef L4_RUN_FIRST_BYTE_H
#define L4_RUN_FIRST_BYTE_H

#include "run/loop.h"

void l4_first_byte_begin(struct l4_loop *loop, struct l4_session *s);
void l4_first_byte_connected(struct l4_loop *loop, struct l4_session *s);
void l4_first_byte_asked(struct l4_loop *loop, struct l4_session *s);
void l4_first_byte_came(struct l4_loop *loop, struct l4_session *s);

/* It could not be reached: as slow as a connect may be. */
void l4_first_byte_failed(struct l4_loop *loop, struct l4_session *s);

/* Its timer fired: has it waited too long? And how long until it has; `most` if it waits for none.
 */
void l4_first_byte_check(struct l4_loop *loop, struct l4_session *s);
uint64_t l4_first_byte_left_ms(const struct l4_loop *loop, const struct l4_session *s,
                               uint64_t most);

/* Another worker has it from now on: nobody here counts for how long it waits. */
void l4_first_byte_forget(struct l4_loop *loop, struct l4_session *s);

/* The session ends, or leaves its backend. How long it waited in vain counts, if its client asked
 * for something, or if the backend was silent to all others meanwhile. */
void l4_first_byte_end(struct l4_loop *loop, struct l4_session *s);

#endif
