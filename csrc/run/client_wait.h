/* The time limit of a client that must speak before its backend is chosen.
 *
 * The client must have said all within the listener's handshake_timeout. A client that has said
 * nothing may have less time (`first_byte_timeout`).
 */
#ifndef L4_RUN_CLIENT_WAIT_H
#define L4_RUN_CLIENT_WAIT_H

#include "io/pump.h"
#include "run/row.h"

/* Notes the epoll events of a client from which nothing is read now. Returns true if the client is
 * gone. */
static inline bool l4_client_is_gone(struct l4_session *s, uint32_t events)
{
    l4_half_note(&s->half[L4_CLIENT], events);
    return events & (EPOLLERR | EPOLLHUP);
}

/* Starts the timer for the state's deadline, or for the end of the time for a first byte if that
 * comes first. */
void l4_client_wait(struct l4_loop *loop, uint32_t index);

/* The timer of l4_client_wait fired. spoken: the client has said something by now. Returns why the
 * client is too late; or starts the timer again and returns L4_END_NONE. */
enum l4_reason l4_client_is_late(struct l4_loop *loop, uint32_t index, bool spoken);

#endif
