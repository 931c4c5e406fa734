#include "run/handshake.h"

#include <stdio.h>
#include <sys/socket.h>

void l4_handshake_refuse_hello(const struct l4_loop *loop, const struct l4_session *s)
{
    static const uint8_t alert[] = {21, 3, 3, 0, 2, 2, 47}; /* fatal, illegal_parameter */
    struct l4_tls_counters *handshakes = l4_handshake_counts(loop, s, L4_CLIENT);
    L4_OWN_ADD(handshakes->failed, 1);
    snprintf(handshakes->why, sizeof handshakes->why, "the ClientHello is too long");
    /* why: the alert may not arrive; a client that sends such a hello needs no better answer. */
    (void)!send(s->half[L4_CLIENT].fd, alert, sizeof alert, MSG_NOSIGNAL | MSG_DONTWAIT);
}
