/* Counters of TLS handshakes, and the question who must make one. */
#ifndef L4_RUN_HANDSHAKE_H
#define L4_RUN_HANDSHAKE_H

#include "run/row.h"
#include "shm/tls_counters.h"

/* Must the client make a TLS handshake that has not begun yet? */
static inline bool l4_handshake_is_wanted(const struct l4_loop *loop, const struct l4_session *s)
{
    return L4_GET(l4_table_listener(loop->table, s->listener)->secure.profile) &&
           !(s->half[L4_CLIENT].flags & L4_HALF_TLS);
}

/* Returns this worker's counters of handshakes with the clients of the session's listener, or with
 * the backends of its pool. */
static inline struct l4_tls_counters *
l4_handshake_counts(const struct l4_loop *loop, const struct l4_session *s, enum l4_side side)
{
    const uint32_t row =
        side == L4_CLIENT ? s->listener : loop->table->plan.caps.listeners + s->pool;
    return l4_table_tls_counters(loop->table, loop->setup.index, row);
}

/* Sends an alert to a client whose ClientHello is longer than any valid one, and counts the
 * failure. */
void l4_handshake_refuse_hello(const struct l4_loop *loop, const struct l4_session *s);

#endif
