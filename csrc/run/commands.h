/* Carries out what the supervisor tells a worker. Commands come through a ring of the shared
 * table; messages that may bring a descriptor come through the mailbox (run/mailbox.h). */
#ifndef L4_RUN_COMMANDS_H
#define L4_RUN_COMMANDS_H

#include "run/loop.h"

/* The command eventfd woke the worker: carries out the commands in the ring, and does what another
 * worker may have woken this one for. */
void l4_commands_take(struct l4_loop *loop);

/* Carries out the messages in the mailbox. Returns 0, or -errno if the worker cannot go on. */
__attribute__((warn_unused_result)) int l4_commands_take_mail(struct l4_loop *loop);

/* The supervisor is gone: closes the listening sockets, and gives the sessions drain_timeout to
 * end. */
void l4_commands_go_on_alone(struct l4_loop *loop);

/* Returns the milliseconds that a worker without a supervisor may still run; -1: it has a
 * supervisor. */
int l4_commands_alone_ms(const struct l4_loop *loop);

/* The time of a worker without a supervisor is over: ends all sessions. */
void l4_commands_end_alone(struct l4_loop *loop);

#endif
