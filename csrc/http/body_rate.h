/* The least rate of a request's body: who sends a body byte by byte holds a place at a backend for
 * as long as he likes (R-U-Dead-Yet), and no idle timeout ends him.
 *
 * A body is measured in windows of the listener's head_timeout. In each window that the client
 * alone is waited for, body_rate_min bytes a second must come. A window begins anew whenever
 * something else was waited for: a backend that does not read, its 100 (Continue), a free pipe.
 */
#ifndef L4_HTTP_BODY_RATE_H
#define L4_HTTP_BODY_RATE_H

#include "http/room.h"
#include "run/row.h"

/* A window begins. */
void l4_body_rate_begin(struct l4_loop *loop, uint32_t index);

/* The body was moved as far as it can be: begins a window anew if the client is not waited for. */
void l4_body_rate_note(struct l4_loop *loop, uint32_t index);

/* Returns the time until the window ends, at most max_ms; max_ms if nothing is measured. */
uint64_t l4_body_rate_wait_ms(const struct l4_loop *loop, uint32_t index, uint64_t max_ms);

/* Returns true if a window is over in which too little has come. Begins the next one if enough
 * has. */
bool l4_body_rate_is_low(struct l4_loop *loop, uint32_t index);

#endif
