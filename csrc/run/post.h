/* The post: what the supervisor sends a running worker that needs a descriptor with it.
 *
 * Messages of one socket of kind SOCK_SEQPACKET, each a struct l4_post and at most one descriptor.
 * They are also what a supervisor of a later version says to the workers of this one while it
 * replaces them, so their meaning is fixed: operations are added, none is changed. One that this
 * version does not know is ignored.
 */
#ifndef L4_RUN_POST_H
#define L4_RUN_POST_H

#include "run/worker.h"

enum l4_post_op {
    L4_POST_LISTEN = 1,   /* row: listener; arg 1: shared with others; fd: the socket; tag: its */
    L4_POST_UNLISTEN = 2, /* row, tag: which; number: told back when its queue was taken */
    L4_POST_RELABEL = 3,  /* row, tag: which; arg: the row its clients belong to from now on */
    L4_POST_LEAVE = 4,    /* no more clients; end with the last session */
    L4_POST_GIVE = 5, /* arg: how many sessions, L4_NONE all; number: of the hand; fd: its end */
    L4_POST_TAKE = 6, /* number: of the hand; fd: its end */
    L4_POST_GIVE_FLOWS = 7, /* row: so many places there will be; arg: the taker's; number: of the
                               hand; fd: its end. UDP sessions that core/steer.h gives it */
};

struct l4_post {
    uint32_t bytes; /* of this message: later versions append */
    uint32_t op;    /* enum l4_post_op */
    uint32_t row;
    uint32_t arg;
    uint32_t number;
    uint32_t tag; /* of a listening socket; 0, or a message without it: all of its row */
};
_Static_assert(sizeof(struct l4_post) == 24, "struct l4_post is a wire format");
enum { L4_POST_LEAST = 20 }; /* bytes of a message of the first version */

/* Takes what has come, up to L4_POSTS_A_TURN. Returns 0, or -errno if the worker cannot go on. */
__attribute__((warn_unused_result)) int l4_post_take(struct l4_loop *loop);

#endif
