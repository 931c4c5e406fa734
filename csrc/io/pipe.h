/* The worker's pool of pipes: where bytes wait that one side sent and the other would not take.
 *
 * A pipe is named by a number below L4_PIPES_MAX. The pool owns both descriptors; a session holds
 * a pipe only while its direction is bulky or blocked. The pool stays under the number of pipes
 * that it was given; when it is used up the relay does without (io/pump.c).
 */
#ifndef L4_IO_PIPE_H
#define L4_IO_PIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bounds.h"

struct l4_pipes {
    int fds[L4_PIPES_MAX][2];
    uint16_t idle[L4_PIPES_MAX];   /* made and empty, last used last */
    uint16_t unmade[L4_PIPES_MAX]; /* numbers without descriptors */
    uint32_t idle_count, unmade_count;
};

void l4_pipes_init(struct l4_pipes *pipes, uint32_t most);
void l4_pipes_close(struct l4_pipes *pipes);

/* Is there an idle pipe, so that the next take succeeds? Makes one if it can. */
bool l4_pipes_ready(struct l4_pipes *pipes);

/* An empty pipe, or L4_NO_PIPE. */
uint16_t l4_pipes_take(struct l4_pipes *pipes);

/* Takes over a pipe that was made elsewhere, with what is in it. L4_NO_PIPE: no room; fds stay the
 * caller's. */
uint16_t l4_pipes_adopt(struct l4_pipes *pipes, const int fds[2]);

/* Undoes l4_pipes_adopt: the descriptors are the caller's again. */
void l4_pipes_disown(struct l4_pipes *pipes, uint16_t pipe);

/* Gives a pipe back. One that still holds bytes is closed. */
void l4_pipes_give(struct l4_pipes *pipes, uint16_t pipe, bool empty);

#endif
