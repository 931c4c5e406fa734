/* A client that is to speak before its backend is chosen: what is still to be heard of it, and
 * until when.
 *
 * All of it must be over within the listener's handshake_timeout; a client that has said nothing
 * may have less time (`first_byte_timeout`).
 */
#ifndef L4_RUN_CLIENT_WAIT_H
#define L4_RUN_CLIENT_WAIT_H

#include "io/pump.h"
#include "run/row.h"

/* Notes the kernel's word on a client from which nothing is read now. True: it is gone. */
static inline bool l4_client_is_gone(struct l4_session *s, uint32_t events)
{
    l4_half_note(&s->half[L4_CLIENT], events);
    return events & (EPOLLERR | EPOLLHUP);
}

/* Starts the timer for the end of the state's wait, or for the end of the time for a first byte. */
void l4_client_wait(struct l4_loop *loop, uint32_t index);

/* That timer fired; spoken: the client has said something by now. Returns why it is too late; or
 * L4_END_NONE, and the timer was started again. */
enum l4_reason l4_client_is_late(struct l4_loop *loop, uint32_t index, bool spoken);

#endif
