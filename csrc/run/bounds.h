/* The listening sockets of a worker, of all planes: they come and go while it runs. */
#ifndef L4_RUN_BOUNDS_H
#define L4_RUN_BOUNDS_H

#include "run/loop.h"

/* Takes memory for all that there may be, and those the worker was started with; 0 or -ENOMEM. */
__attribute__((warn_unused_result)) int l4_bounds_start(struct l4_loop *loop);
void l4_bounds_finish(struct l4_loop *loop);

/* One listening socket more, which it takes over. Returns 0 or -errno. */
__attribute__((warn_unused_result)) int l4_bounds_add(struct l4_loop *loop, struct l4_bound bound);

/* The listening socket of this tag (0: all of this row) less, once its queue is empty; the
 * supervisor is then told, with number. */
void l4_bounds_remove(struct l4_loop *loop, uint32_t listener, uint32_t tag, uint32_t number);

/* Its clients belong to another listener row from now on. */
void l4_bounds_relabel(struct l4_loop *loop, uint32_t listener, uint32_t tag, uint32_t to);

/* Closes those that are still open; what depends on them ends. */
void l4_bounds_close(struct l4_loop *loop);

#endif
