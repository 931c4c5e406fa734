/* The mailbox: messages of the supervisor to a running worker over a socket. Some bring a
 * descriptor, and a later program can send them too.
 *
 * The messages come over a SOCK_SEQPACKET socket; each is a struct l4_mail with at most one
 * descriptor. A supervisor of a later version also sends them to the workers of this version while
 * it replaces them, so their meaning is fixed: operations are added, and none is changed. An
 * operation that this version does not know is ignored.
 */
#ifndef L4_RUN_MAILBOX_H
#define L4_RUN_MAILBOX_H

#include "run/loop.h"

/* The operations of a message, with the fields that each uses. */
enum l4_mail_op {
    /* An operation that this version does not know: it is ignored. */
    L4_MAIL_UNKNOWN = 0,
    /* Listens. row: listener. fd: the socket, with its tag. arg 1: other workers have it too. */
    L4_MAIL_LISTEN = 1,
    /* Stops listening. row, tag: which sockets. number: told back when their queues are empty. */
    L4_MAIL_UNLISTEN = 2,
    /* Moves sockets to another listener row. row, tag: which sockets. arg: the new row. */
    L4_MAIL_RELABEL = 3,
    /* Accepts no more clients, and ends the worker with its last session. arg 1: the sessions go to
     * another program. */
    L4_MAIL_LEAVE = 4,
    /* Gives sessions. arg: how many, L4_NONE: all. number: of the hand-over. fd: its socket. */
    L4_MAIL_GIVE = 5,
    /* Takes sessions. number: of the hand-over. fd: its socket. */
    L4_MAIL_TAKE = 6,
    /* Gives the UDP sessions that core/udp_steering.h assigns to the taker. row: how many places
     * there will be. arg: the taker's place. number: of the hand-over. fd: its socket. */
    L4_MAIL_GIVE_FLOWS = 7,
};

struct l4_mail {
    uint32_t bytes; /* length of this message: later versions append fields */
    uint32_t op;    /* enum l4_mail_op */
    uint32_t row;
    uint32_t arg;
    uint32_t number;
    uint32_t tag; /* of a listening socket; 0 or absent: all sockets of the row */
};
_Static_assert(sizeof(struct l4_mail) == 24, "struct l4_mail is a wire format");
enum { L4_MAIL_LEAST = 20 }; /* bytes of a message of the first version */

/* Takes one message. *fd is the descriptor that came with it, or -1. Returns false if there is
 * none. */
bool l4_mailbox_take(const struct l4_loop *loop, struct l4_mail *mail, int *fd);

bool l4_mail_needs_fd(const struct l4_mail *mail);

#endif
