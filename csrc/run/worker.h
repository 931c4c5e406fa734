/* A worker: one process's loop over its listening sockets and sessions, in C from start to end.
 *
 * It ends when the supervisor says so (L4_CMD_DRAIN, L4_CMD_STOP). When the supervisor is gone
 * (the lifeline reads end-of-file), the worker closes all listening sockets at once, and ends with
 * its last TCP session or after drain_timeout.
 */
#ifndef L4_RUN_WORKER_H
#define L4_RUN_WORKER_H

#include "run/loop.h"

/* Runs the worker until its end. Returns 0, or -errno if the worker could not start or its epoll
 * set failed. */
int l4_worker_run(const struct l4_worker_setup *setup);

#endif
