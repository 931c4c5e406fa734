/* Tells a flood of datagrams from a worker that is merely late.
 *
 * A worker that was not scheduled for a while, or that meets a thousand new clients at once,
 * finds a queue that shrinks from then on: everything in it can be served. In a flood the queue
 * grows until it is full, and then the kernel drops datagrams of all clients alike. While the
 * worker is behind, it looks at the queue every L4_FLOOD_LOOK_MS. It is a flood if the kernel has
 * dropped datagrams since the previous look, or if more than half of the room is used, and more
 * than at that look. The flood is over at a look without drops and with less than half of the
 * room used, or when nothing waits any more. A look costs one system call.
 */
#ifndef L4_IO_FLOOD_H
#define L4_IO_FLOOD_H

#include <stdbool.h>
#include <stdint.h>

/* The queue of one socket. */
struct l4_flood_queue {
    uint32_t waits, room; /* bytes, as the kernel counts them */
    uint32_t drops;       /* datagrams dropped so far for lack of room */
};

/* The state of flood detection for one socket. All zero: the worker is not behind. */
struct l4_flood {
    uint64_t looked_ms;
    struct l4_flood_queue before; /* the queue at the previous look */
    bool on;
};

/* Reads the queue of a socket. Returns 0, or -errno if the kernel cannot report it (before Linux
 * 4.12). */
__attribute__((warn_unused_result)) int l4_flood_read(int fd, struct l4_flood_queue *queue);

/* Judges the queue that a look found while the worker was behind. Pure. */
void l4_flood_judge(struct l4_flood *flood, const struct l4_flood_queue *queue, uint64_t now_ms);

/* Looks at the queue of a socket that the worker is behind with, if a look is due. */
void l4_flood_look(struct l4_flood *flood, int fd, uint64_t now_ms);

#endif
