/* Moves one direction of a session: the data that one half sent, to the other half.
 *
 * Data is copied first, through the worker's one scratch buffer. A receive of L4_BULK_BYTES or
 * more switches the direction to splice through a pooled pipe, and small splices switch it back.
 * Data that the other side does not accept waits in a pipe. If no pipe is free, data stays in the
 * kernel and is only peeked at until it was sent. So no data is read without a place for it, and
 * an idle session owns no buffer. The operations of a half are those of io/stream_ops.h: with TLS,
 * records wait in the pipe, and splice is only for two plain halves. The pump knows nothing of
 * sessions: it records ends and errors in the halves' flags.
 */
#ifndef L4_IO_PUMP_H
#define L4_IO_PUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bounds.h"
#include "base/half.h"
#include "io/pipe.h"

struct l4_tls_room;
struct l4_h2;

struct l4_pump {
    struct l4_pipes *pipes;
    char *scratch;           /* L4_SCRATCH_BYTES */
    struct l4_tls_room *tls; /* io/tls.h; NULL: no half uses TLS */
    struct l4_h2 *h2;        /* http/h2.h; NULL: no half is a stream */
    uint32_t max;            /* bytes to move in an iteration; 0: L4_TURN_BYTES */
    bool keeps_open;         /* an end of `from` is only noted, not passed on */
};

/* Returns how many bytes one direction moves in an iteration. */
static inline uint32_t l4_pump_turn(const struct l4_pump *pump)
{
    return pump->max ? pump->max : L4_TURN_BYTES;
}

enum l4_pump_result {
    L4_PUMP_WAITS, /* for an edge of either side, or the direction has ended: see the flags */
    L4_PUMP_MORE,  /* its share of the iteration is used up: call again soon */
    L4_PUMP_LOST,  /* bytes were lost (no memory): the session cannot go on */
};

/* Moves bytes until something would block, `from` ends, or the share of this loop iteration is
 * used. Adds to *moved what was read from `from`. Afterwards:
 *
 *   from EOF:   its end was read, and with piped 0 all before it was passed on; `to` is then SHUT
 *   from RESET: it failed, and with piped 0 all before it was passed on
 *   to BROKEN:  it takes no more; what it sent before can still be read
 */
enum l4_pump_result l4_pump(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                            uint64_t *moved);

/* Sends data that waits in from's pipe, as far as `to` accepts it. */
void l4_pump_flush(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to);

/* Forgets data that waits in from's pipe. */
void l4_pump_discard(const struct l4_pump *pump, struct l4_half *from);

/* Records the events of epoll for a half in its flags. */
void l4_half_note(struct l4_half *half, uint32_t events);

/* Ways to close a socket. */
enum l4_close {
    L4_CLOSE,          /* as close(2) does */
    L4_CLOSE_IN_ORDER, /* data already sent is still delivered: l4_sock_close_in_order */
    L4_CLOSE_RESET,    /* its peer sees a reset */
};

/* Closes what a half owns: its socket and its pipe. */
void l4_half_close(const struct l4_pump *pump, struct l4_half *half, enum l4_close how);

#endif
