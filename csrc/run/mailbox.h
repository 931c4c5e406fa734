/* The mailbox: what the supervisor sends a running worker that needs a descriptor with it.
 *
 * Messages of one socket of kind SOCK_SEQPACKET, each a struct l4_mail and at most one descriptor.
 * They are also what a supervisor of a later version says to the workers of this one while it
 * replaces them, so their meaning is fixed: operations are added, none is changed. One that this
 * version does not know is ignored.
 */
#ifndef L4_RUN_MAILBOX_H
#define L4_RUN_MAILBOX_H

#include "run/loop.h"

enum l4_mail_op {
    L4_MAIL_UNKNOWN = 0,  /* none of these: it is ignored */
    L4_MAIL_LISTEN = 1,   /* row: listener; arg 1: shared with others; fd: the socket; tag: its */
    L4_MAIL_UNLISTEN = 2, /* row, tag: which; number: told back when its queue was taken */
    L4_MAIL_RELABEL = 3,  /* row, tag: which; arg: the row its clients belong to from now on */
    L4_MAIL_LEAVE = 4,    /* no more clients; end with the last session */
    L4_MAIL_GIVE =
        5, /* arg: how many sessions, L4_NONE all; number: of the hand-over; fd: its end */
    L4_MAIL_TAKE = 6,       /* number: of the hand-over; fd: its end */
    L4_MAIL_GIVE_FLOWS = 7, /* row: so many places there will be; arg: the taker's; number: of the
                               hand-over; fd: its end. UDP sessions that core/steer.h gives it */
};

struct l4_mail {
    uint32_t bytes; /* of this message: later versions append */
    uint32_t op;    /* enum l4_mail_op */
    uint32_t row;
    uint32_t arg;
    uint32_t number;
    uint32_t tag; /* of a listening socket; 0, or a message without it: all of its row */
};
_Static_assert(sizeof(struct l4_mail) == 24, "struct l4_mail is a wire format");
enum { L4_MAIL_LEAST = 20 }; /* bytes of a message of the first version */

/* Takes one message; *fd is the descriptor that came with it, or -1. False: none waits. */
bool l4_mailbox_take(const struct l4_loop *loop, struct l4_mail *mail, int *fd);

bool l4_mail_needs_fd(const struct l4_mail *mail);

#endif
