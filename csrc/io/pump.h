/* Moves one direction of a session: what one half sent, to the other half.
 *
 * Copy first, through the worker's one scratch buffer; a receive of L4_BULK_BYTES or more turns the
 * direction to splice through a pooled pipe, thin splices turn it back. What the other side will
 * not take waits in a pipe; where no pipe can be had, bytes stay in the kernel and are only peeked
 * at until they were sent. So nothing read is ever without a place, and an idle session owns no
 * buffer. What a half can do is io/io.h's to say: towards TLS it is records that wait in the pipe,
 * and splice is for two plain halves. It knows no session: ends and errors are left in the halves'
 * flags.
 */
#ifndef L4_IO_PUMP_H
#define L4_IO_PUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/half.h"
#include "io/pipe.h"

struct l4_tls_room;

struct l4_pump {
    struct l4_pipes *pipes;
    char *scratch;           /* L4_SCRATCH_BYTES */
    struct l4_tls_room *tls; /* io/tls.h; NULL: no half speaks TLS */
    uint32_t most;           /* bytes a turn may move; 0: L4_TURN_BYTES */
};

enum l4_pump_result {
    L4_PUMP_WAITS, /* for an edge of either half, or ended: see the flags */
    L4_PUMP_MORE,  /* its turn is over before its work is: call again soon */
    L4_PUMP_LOST,  /* bytes could not be kept (no memory): the session cannot go on */
};

/* Moves bytes until something would block, from ends, or the turn's share is used. Adds to *moved
 * what was read from `from`. Afterwards:
 *   from EOF:   its end was read, and with piped 0 all before it was passed on; `to` is then SHUT
 *   from RESET: it failed, and with piped 0 all before it was passed on
 *   to BROKEN:  it takes no more; what it sent before can still be read */
enum l4_pump_result l4_pump(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to,
                            uint64_t *moved);

/* Sends what waits in from's pipe, as far as `to` takes it. */
void l4_pump_flush(const struct l4_pump *pump, struct l4_half *from, struct l4_half *to);

/* Keeps what epoll said of a half in its flags. */
void l4_half_note(struct l4_half *half, uint32_t events);

/* How a socket is closed. */
enum l4_close {
    L4_CLOSE,          /* as close(2) does */
    L4_CLOSE_IN_ORDER, /* what was sent on it is still delivered: l4_sock_close_in_order */
    L4_CLOSE_RESET,    /* its peer sees a reset */
};

/* Closes what a half owns: its socket and its pipe. */
void l4_half_close(const struct l4_pump *pump, struct l4_half *half, enum l4_close how);

#endif
