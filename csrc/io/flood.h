/* Is a listener's socket under a flood of datagrams, or is its worker merely late?
 *
 * A worker that was not scheduled for a while, or meets a thousand new clients at once, finds a
 * queue that gets shorter from then on: all in it can be served. In a flood the queue grows towards
 * its end, where the kernel drops without asking whose. So a look every L4_FLOOD_LOOK_MS while the
 * worker is behind says "flood" where the kernel has dropped since the look before, or where more
 * than half of the room is used and more than then. It is over at a look that finds neither drops
 * nor half of the room used, or when nothing waits any more. A look costs one system call.
 */
#ifndef L4_IO_FLOOD_H
#define L4_IO_FLOOD_H

#include <stdbool.h>
#include <stdint.h>

struct l4_flood_queue {   /* of one socket */
    uint32_t waits, room; /* bytes, as the kernel counts them */
    uint32_t drops;       /* datagrams that found no room, ever */
};

struct l4_flood { /* all zero: the worker is not behind */
    uint64_t looked_ms;
    struct l4_flood_queue before; /* what that look found */
    bool on;
};

/* What waits at a socket. Returns 0, or -errno where the kernel cannot tell (before Linux 4.12). */
__attribute__((warn_unused_result)) int l4_flood_read(int fd, struct l4_flood_queue *queue);

/* What a look makes of a queue that the worker is behind with. Pure. */
void l4_flood_judge(struct l4_flood *flood, const struct l4_flood_queue *queue, uint64_t now_ms);

/* Looks at the queue of a socket that the worker is behind with, if it is time to. */
void l4_flood_look(struct l4_flood *flood, int fd, uint64_t now_ms);

#endif
