/* A worker: one process's loop over its listeners and sessions, from entry to exit in C.
 *
 * It ends when told to (L4_CMD_DRAIN, L4_CMD_STOP). Without its supervisor (the lifeline reads its
 * end) it closes all listeners at once and ends with its TCP sessions or after drain_timeout.
 */
#ifndef L4_RUN_WORKER_H
#define L4_RUN_WORKER_H

#include "run/loop.h"

/* Runs until the worker's end. Returns 0, or -errno if it could not start or lost its epoll. */
int l4_worker_run(const struct l4_worker_setup *setup);

#endif
