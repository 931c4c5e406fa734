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

/* Closes UDP listeners; their sessions end. */
void l4_accept_close_udp(struct l4_loop *loop);

/* Takes what is queued, up to the room there is, then closes this worker's listeners for good. */
void l4_accept_finish(struct l4_loop *loop);

/* The same but takes nothing: others have the same sockets and serve who is queued. */
void l4_accept_leave(struct l4_loop *loop);

/* One listening socket more, which it takes over. Returns 0 or -errno. */
__attribute__((warn_unused_result)) int l4_accept_add(struct l4_loop *loop, struct l4_bound bound);

/* The listening socket of this tag (0: all of this row) less, once its queue is empty; the
 * supervisor is then told, with number. */
void l4_accept_remove(struct l4_loop *loop, uint32_t listener, uint32_t tag, uint32_t number);

/* Its clients belong to another listener row from now on. */
void l4_accept_relabel(struct l4_loop *loop, uint32_t listener, uint32_t tag, uint32_t to);

/* While some are closing: takes what is queued as far as there is room. */
void l4_accept_close_rest(struct l4_loop *loop);

#endif
