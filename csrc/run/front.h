/* Between a client's accept and the pick of its backend: what it must say and what is asked of it.
 *
 * What a client says is only looked at (MSG_PEEK, into the worker's scratch) and stays in the
 * kernel until the relay moves it, so waiting sessions own no buffer. A session that waits for more
 * asks the kernel to be quiet until enough is there (SO_RCVLOWAT): a client that sends byte by byte
 * costs no more than one that sends at once. All of it must be over within the listener's
 * handshake_timeout.
 */
#ifndef L4_RUN_FRONT_H
#define L4_RUN_FRONT_H

#include "run/worker.h"

/* A session just opened: on to its backend at once where the listener asks nothing. */
void l4_front_begin(struct l4_loop *loop, uint32_t index);

/* All that comes before the pick is done. */
void l4_front_onward(struct l4_loop *loop, uint32_t index);

/* Is it known where it comes from? Not while its PROXY header is awaited. */
bool l4_front_knows_source(const struct l4_session *s);

/* The kernel's word on a client that is read. */
void l4_front_event(struct l4_loop *loop, uint32_t index, uint32_t events);

/* Starts the timer of a client that is to speak: for the end of its stage, or for the end of the
 * time that it has for its first byte. */
void l4_front_wait(struct l4_loop *loop, uint32_t index);

/* That timer fired; spoken: the client has said something by now. True: it is too late, and the
 * session has ended. */
bool l4_front_is_late(struct l4_loop *loop, uint32_t index, bool spoken);

/* Its timer fired. */
void l4_front_timeout(struct l4_loop *loop, uint32_t index);

#endif
