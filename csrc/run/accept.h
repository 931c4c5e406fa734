/* Accepts clients from the listening sockets, and leaves them there while there is no room.
 *
 * A worker pauses when it reaches its own limit of sessions or the limit of all workers, or when
 * the kernel refuses a descriptor or memory. It then takes its listening sockets out of the epoll
 * set: clients wait in the kernel's queue, the loop does not spin, and the supervisor is told
 * once. The worker tries again when a sixteenth of the limit is free, or after L4_ACCEPT_PAUSE_MS.
 * Before it pauses, it checks whether idle sessions of the largest source should end to make room
 * (run/shed.h).
 */
#ifndef L4_RUN_ACCEPT_H
#define L4_RUN_ACCEPT_H

#include "run/loop.h"

/* Puts the listening sockets into the epoll set. Returns 0 or -errno. */
__attribute__((warn_unused_result)) int l4_accept_start(struct l4_loop *loop);

/* Accepts up to L4_ACCEPT_BATCH clients from one listening socket. */
void l4_accept_batch(struct l4_loop *loop, uint32_t bound);

/* During a pause: ends idle sessions if they are to make room (run/shed.h). */
void l4_accept_shed(struct l4_loop *loop);

/* During a pause: accepts again if there is room or the pause is over. */
void l4_accept_revisit(struct l4_loop *loop);

/* Returns the milliseconds until l4_accept_revisit has something to do; -1: nothing. */
int l4_accept_wait_ms(const struct l4_loop *loop);

/* Accepts the clients that are queued, as far as there is room, then closes this worker's
 * listening sockets for good. */
void l4_accept_finish(struct l4_loop *loop);

/* Closes this worker's listening sockets and accepts nobody: other workers have the same sockets
 * and serve the queued clients. */
void l4_accept_leave(struct l4_loop *loop);

/* l4_accept_add: begins to accept from one more listening socket. l4_accept_remove: accepts the
 * clients queued there, as far as there is room, then closes the socket and tells the
 * supervisor. */
__attribute__((warn_unused_result)) int l4_accept_add(struct l4_loop *loop, uint32_t bound);
bool l4_accept_remove(struct l4_loop *loop, uint32_t bound);

/* While listening sockets are closing: accepts the clients queued there, as far as there is
 * room. */
void l4_accept_close_rest(struct l4_loop *loop);

#endif
