/* What a half of a session can do, one row of functions a kind of socket: plain, or TLS.
 *
 * The pump moves bytes by these alone. Bytes pass through pump->scratch. Whatever a row does, the
 * halves' flags say afterwards what is known of their sockets, as io/pump.h describes. Rows are
 * const and know no session.
 */
#ifndef L4_IO_IO_H
#define L4_IO_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "io/pump.h"

struct l4_io {
    /* Plain bytes that pass at once: in scratch when it receives, what may be handed to pass. */
    size_t most;
    size_t least; /* to receive fewer than so many cannot be asked: what it gives is whole */

    /* Reads at most `most` bytes. Returns how many; 0 at its end; -1 and errno, EAGAIN when there
     * is nothing now, EBUSY when it cannot read before what it must send has left. */
    ssize_t (*receive)(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                       size_t most);

    /* The same without taking them; then takes away as many as were sent. False: they are lost. */
    ssize_t (*peek)(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                    size_t most);
    bool (*take)(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                 size_t bytes);

    /* Sends all; what the socket does not take now waits in from's pipe. A pipe is ready. */
    enum l4_pump_result (*pass)(const struct l4_pump *pump, struct l4_half *from,
                                struct l4_half *to, size_t bytes);

    /* Sends as many as the socket takes. Returns how many, or -1 and errno. */
    ssize_t (*offer)(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                     size_t bytes);

    /* Passes the end on, all else has been. False: it waits in from's pipe, call again. */
    bool (*finish)(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to);

    /* Sends what waits in the half's own buffer (L4_HALF_UNSENT). True: nothing is left of it. */
    bool (*settle)(const struct l4_pump *pump, struct l4_half *to);

    /* Frees what is kept for the half besides its socket. NULL: nothing is. */
    void (*release)(const struct l4_pump *pump, struct l4_half *half);

    /* Bytes are on the socket as they are passed on: splice can move them. */
    bool splices;
};

extern const struct l4_io l4_io_raw;
extern const struct l4_io l4_io_tls;

static inline const struct l4_io *l4_io_of(const struct l4_half *half)
{
    return half->flags & L4_HALF_TLS ? &l4_io_tls : &l4_io_raw;
}

/* ---- for the rows ---------------------------------------------------------------------------- */

/* A short receive says that the socket is empty, so that the call which would only say EAGAIN is
 * saved; not so when an end is announced, or when urgent data may have cut the receive short. */
static inline bool l4_io_is_drained(const struct l4_half *from, ssize_t got, size_t asked)
{
    return (size_t)got < asked && !(from->flags & (L4_HALF_HUP | L4_HALF_URGENT));
}

/* Marks how writing to a half paused or failed, by errno. */
void l4_io_not_sent(struct l4_half *to);

/* Before each send: decides on small-packet delay. */
void l4_io_before_send(struct l4_half *to, size_t bytes);

/* Puts into from's pipe, taking one if it has none. False: there was no room for all. */
bool l4_io_hold(const struct l4_pump *pump, struct l4_half *from, const char *bytes, size_t count);

#endif
