/* The listening sockets of a worker, for all planes (run/plane.h). They come and go while the
 * worker runs. */
#ifndef L4_RUN_BOUNDS_H
#define L4_RUN_BOUNDS_H

#include "run/loop.h"

/* Takes memory for the most listening sockets that there may be, and copies those that the worker
 * was started with. Returns 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int l4_bounds_start(struct l4_loop *loop);
void l4_bounds_finish(struct l4_loop *loop);

/* Adds one listening socket, which the worker then owns. Returns 0 or -errno. */
__attribute__((warn_unused_result)) int l4_bounds_add(struct l4_loop *loop, struct l4_bound bound);

/* Removes the listening socket with this tag once its queue is empty; tag 0 means all sockets of
 * this listener row. The supervisor is then told with `number`. */
void l4_bounds_remove(struct l4_loop *loop, uint32_t listener, uint32_t tag, uint32_t number);

/* From now on, clients of the sockets with this tag belong to the listener row `to`. Tag 0 means
 * as for l4_bounds_remove. */
void l4_bounds_relabel(struct l4_loop *loop, uint32_t listener, uint32_t tag, uint32_t to);

/* Closes all listening sockets that are still open. Sessions that need one of them end. */
void l4_bounds_close(struct l4_loop *loop);

#endif
