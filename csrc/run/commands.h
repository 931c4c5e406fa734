/* What the supervisor tells a worker: commands in a ring of the shared table, and mail that brings
 * a descriptor along (run/mailbox.h has its form). Both come to one function each here. */
#ifndef L4_RUN_COMMANDS_H
#define L4_RUN_COMMANDS_H

#include "run/loop.h"

/* The bell rang: takes the commands that were put, and looks what else another process may have
 * rung for. */
void l4_commands_take(struct l4_loop *loop);

/* Takes the mail that has come. Returns 0, or -errno if the worker cannot go on. */
__attribute__((warn_unused_result)) int l4_commands_take_mail(struct l4_loop *loop);

/* The supervisor is gone. */
void l4_commands_go_on_alone(struct l4_loop *loop);

/* How long a worker that is alone may go on: milliseconds; -1: it is not alone. */
int l4_commands_alone_ms(const struct l4_loop *loop);

/* At the end of that time. */
void l4_commands_end_alone(struct l4_loop *loop);

#endif
