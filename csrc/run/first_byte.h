/* Measures response times: how long a session waits for its backend's first byte
 * (core/response.h).
 *
 *   begins to connect -> connected -> asked (the client's first byte was passed on) -> answered
 *
 * A session waits for a first byte from its first attempt until that byte. In a pool with
 * least_response_time such sessions are counted over all workers, so that a backend which accepts
 * and then is silent does not look fast: while any session waits, the backend's time is at least
 * that of its silence. After L4_FIRST_BYTE_PATIENCE_MS a session is counted no longer: a session
 * that waits for ever must not keep its backend from being chosen again.
 */
#ifndef L4_RUN_FIRST_BYTE_H
#define L4_RUN_FIRST_BYTE_H

#include "run/loop.h"

void l4_first_byte_begin(struct l4_loop *loop, struct l4_session *s);
void l4_first_byte_connected(struct l4_loop *loop, struct l4_session *s);
void l4_first_byte_asked(struct l4_loop *loop, struct l4_session *s);
void l4_first_byte_came(struct l4_loop *loop, struct l4_session *s);

/* The backend could not be reached: its response time counts as the whole connect_timeout. */
void l4_first_byte_failed(struct l4_loop *loop, struct l4_session *s);

/* l4_first_byte_check: the session's timer fired; stops counting a session that has waited too
 * long. l4_first_byte_left_ms: the milliseconds until the session has waited too long; `max` if
 * it waits for no first byte. */
void l4_first_byte_check(struct l4_loop *loop, struct l4_session *s);
uint64_t l4_first_byte_left_ms(const struct l4_loop *loop, const struct l4_session *s,
                               uint64_t max);

/* Another worker takes the session: this worker stops counting how long it waits. */
void l4_first_byte_forget(struct l4_loop *loop, struct l4_session *s);

/* The session ends, or leaves its backend. A wait that ended without a first byte counts if the
 * client had asked for something, or if the backend was silent to all other sessions meanwhile. */
void l4_first_byte_end(struct l4_loop *loop, struct l4_session *s);

#endif
