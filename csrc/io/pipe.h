/* The worker's pool of pipes. Bytes that one side sent and the other side does not accept yet
 * wait in a pipe.
 *
 * A pipe has a number below L4_PIPES_MAX. The pool owns both descriptors. A session has a pipe
 * only while its direction is bulky or blocked. The pool never has more pipes than it was given;
 * when all are in use, the relay works without one (io/pump.c).
 */
#ifndef L4_IO_PIPE_H
#define L4_IO_PIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bounds.h"

struct l4_pipes {
    int fds[L4_PIPES_MAX][2];
    uint16_t idle[L4_PIPES_MAX];   /* pipes that are made and empty; the last used one is last */
    uint16_t unmade[L4_PIPES_MAX]; /* numbers without descriptors */
    uint32_t idle_count, unmade_count;
};

void l4_pipes_init(struct l4_pipes *pipes, uint32_t max);
void l4_pipes_close(struct l4_pipes *pipes);

/* True if there is an idle pipe, so that the next take succeeds; makes one if possible. */
bool l4_pipes_ready(struct l4_pipes *pipes);

/* Returns an empty pipe, or L4_NO_PIPE. */
uint16_t l4_pipes_take(struct l4_pipes *pipes);

/* Takes over a pipe that was made elsewhere, with its contents. Returns L4_NO_PIPE if there is no
 * room; fds then still belong to the caller. */
uint16_t l4_pipes_adopt(struct l4_pipes *pipes, const int fds[2]);

/* Undoes l4_pipes_adopt: the descriptors belong to the caller again. */
void l4_pipes_disown(struct l4_pipes *pipes, uint16_t pipe);

/* Gives a pipe back. A pipe that is not empty is closed. */
void l4_pipes_give(struct l4_pipes *pipes, uint16_t pipe, bool empty);

#endif
