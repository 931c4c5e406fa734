/* Taking clients from the listening sockets, and leaving them there when there is no room.
 *
 * At its own limit of sessions, at the process-wide one, or when the kernel refuses a descriptor
 * or memory, the worker takes its listeners out of the epoll set: clients wait in the kernel's
 * queue, nothing spins, and the supervisor is told once. It looks again when a session ends or
 * after L4_ACCEPT_PAUSE_MS. Before it waits it looks whether idle sessions of the biggest source
 * are to make room (run/shed.h).
 */
#ifndef L4_RUN_ACCEPT_H
#define L4_RUN_ACCEPT_H

#include "run/loop.h"

/* Puts the listeners into the epoll set. Returns 0 or -errno. */
__attribute__((warn_unused_result)) int l4_accept_start(struct l4_loop *loop);

/* Takes up to L4_ACCEPT_BATCH clients from one listener. */
void l4_accept_batch(struct l4_loop *loop, uint32_t bound);

/* While paused for want of room: idle sessions may have to make some (run/shed.h). */
void l4_accept_shed(struct l4_loop *loop);

/* While paused: tries again if there is room or the pause is over. */
void l4_accept_revisit(struct l4_loop *loop);

/* Milliseconds until l4_accept_revisit has something to do; -1: nothing. */
int l4_accept_wait_ms(const struct l4_loop *loop);

/* Takes what is queued, up to the room there is, then closes this worker's listeners for good. */
void l4_accept_finish(struct l4_loop *loop);

/* Closes them and takes nothing: others have the same sockets and serve who is queued. */
void l4_accept_leave(struct l4_loop *loop);

/* One listening socket more, and less: what is queued there is taken first, as far as there is
 * room; then it is closed, and the supervisor is told. */
__attribute__((warn_unused_result)) int l4_accept_add(struct l4_loop *loop, uint32_t bound);
bool l4_accept_remove(struct l4_loop *loop, uint32_t bound);

/* While some are closing: takes what is queued as far as there is room. */
void l4_accept_close_rest(struct l4_loop *loop);

#endif
