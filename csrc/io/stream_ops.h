/* The operations on a half of a session: a table of functions for each kind of socket, plain or
 * TLS.
 *
 * The pump moves bytes only with these functions. Bytes pass through pump->scratch. After each
 * operation the halves' flags say what is known of their sockets, as io/pump.h describes. Tables
 * are const and know nothing of sessions.
 */
#ifndef L4_IO_STREAM_OPS_H
#define L4_IO_STREAM_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/text.h"
#include "io/pump.h"

struct l4_io {
    /* most: plain bytes that one receive puts into scratch, and that one pass accepts. */
    size_t max;
    size_t min; /* smallest receive that can be asked for: TLS gives whole records */

    /* Reads at most `max` bytes. Returns how many; 0 at the end; -1 with errno otherwise: EAGAIN
     * if there is nothing now, EBUSY if unsent data must leave before the half can read. */
    ssize_t (*receive)(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                       size_t max);

    /* peek reads without taking the bytes; take then takes away as many as were sent. take
     * returns false if they are lost. */
    ssize_t (*peek)(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                    size_t max);
    bool (*take)(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                 size_t bytes);

    /* Sends all bytes. Bytes that the socket does not accept now wait in from's pipe, which the
     * caller has made ready. */
    enum l4_pump_result (*pass)(const struct l4_pump *pump, struct l4_half *from,
                                struct l4_half *to, size_t bytes);

    /* Sends as many bytes as the socket accepts. Returns how many, or -1 with errno. */
    ssize_t (*offer)(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                     size_t bytes);

    /* Passes the end on, after all data. Returns false if the end waits in from's pipe: call
     * again. */
    bool (*finish)(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to);

    /* Sends the bytes that wait in the half's own buffer (L4_HALF_UNSENT). Returns true if none
     * is left. */
    bool (*settle)(const struct l4_pump *pump, struct l4_half *to);

    /* Returns how many bytes the half accepts for sure; 0: none now, and OUT is cleared. NULL:
     * bytes that it does not accept can wait in a pipe, and leave it by splice. */
    size_t (*room)(const struct l4_pump *pump, struct l4_half *to);

    /* Frees everything that belongs to the half besides its socket. NULL: there is nothing. */
    void (*release)(const struct l4_pump *pump, struct l4_half *half);

    /* Bytes on the socket are the bytes that are passed on, so splice can move them. */
    bool splices;
};

extern const struct l4_io l4_io_raw;
extern const struct l4_io l4_io_tls;
extern const struct l4_io l4_io_h2; /* http/h2_stream.c */
extern const struct l4_io l4_io_void;

static inline const struct l4_io *l4_io_of(const struct l4_half *half)
{
    if (half->flags & (L4_HALF_STREAM | L4_HALF_VOID))
        return half->flags & L4_HALF_VOID ? &l4_io_void : &l4_io_h2;
    return half->flags & L4_HALF_TLS ? &l4_io_tls : &l4_io_raw;
}

/* ---- for the tables of functions ------------------------------------------------------- */

/* A short receive means that the socket is empty, which saves a call that would only return
 * EAGAIN. It does not mean this if an end is announced, or if urgent data may have cut the
 * receive short. */
static inline bool l4_io_is_drained(const struct l4_half *from, ssize_t got, size_t asked)
{
    return (size_t)got < asked && !(from->flags & (L4_HALF_HUP | L4_HALF_URGENT));
}

/* Records in the flags how writing to a half paused or failed, by errno. */
void l4_io_not_sent(struct l4_half *to);

/* Decides about small-packet delay (Nagle); call it before each send. */
void l4_io_before_send(struct l4_half *to, size_t bytes);

/* Sends two texts in one call to a half whose bytes are those of its socket (`splices`). Returns
 * how many bytes the socket has accepted, or -1 with errno. */
ssize_t l4_io_offer_two(struct l4_half *to, struct l4_text first, struct l4_text second);

/* Sends bytes of a file to such a half. Returns how many the socket has accepted; 0 if the file has
 * no more; or -1 with errno. */
ssize_t l4_io_offer_file(struct l4_half *to, int file, off_t at, size_t bytes);

/* Puts bytes into from's pipe; takes a pipe if the half has none. Returns false if there was no
 * room for all. */
bool l4_io_hold(const struct l4_pump *pump, struct l4_half *from, const char *bytes, size_t count);

#endif
