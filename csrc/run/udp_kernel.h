/* UDP sessions in the kernel: the hand-over of a session to the program that forwards packets
 * (packet/forward.bpf.c), and its way back.
 *
 * A session goes to the kernel with its client's first datagram after an answer, if its client is
 * proven. It stays a session of this worker: its row, its socket and its timer are here. In the
 * kernel are two entries, one for each direction, of which the program forwards datagrams without a
 * worker. What the program does not forward (fragments, too long ones, errors of the network) comes
 * to the sockets, and the worker handles it as for any session.
 *
 * Invariants: a session with L4_FLOW_KERNEL has entries in the kernel, or its worker died between
 * the flag and the entries. The client's entry is put in first and taken out last, because the
 * other one is found by it. What the kernel has counted is added to the session's counts once:
 * struct l4_flow_counted says up to where. A session leaves the kernel before it ends, moves to
 * another backend or to another worker.
 */
#ifndef L4_RUN_UDP_KERNEL_H
#define L4_RUN_UDP_KERNEL_H

#include "run/udp.h"

void l4_udp_kernel_start(struct l4_loop *loop);

/* A client's datagram was forwarded: hands the session over, if it may go and the kernel has
 * room. */
void l4_udp_kernel_offer(struct l4_loop *loop, uint32_t flow);

/* Takes the session back, with all that the kernel has counted. Does nothing if it is not there. */
void l4_udp_kernel_leave(struct l4_loop *loop, uint32_t flow);

/* Asks the kernel for the session's counts and last datagram. May take the session back. Does
 * nothing if it is not there. */
void l4_udp_kernel_look(struct l4_loop *loop, uint32_t flow);

/* Takes over the entries of a session of a dead process: the session has its socket again. */
void l4_udp_kernel_adopt(struct l4_loop *loop, uint32_t flow);

/* Takes out the entries of a session of a dead process that nobody continues. */
void l4_udp_kernel_lose(struct l4_loop *loop, uint32_t flow);

/* Does what is due at the end of a loop iteration: looks at some sessions, and takes those back
 * whose backend may not serve them any more. */
void l4_udp_kernel_turn(struct l4_loop *loop);

/* Returns after how many milliseconds l4_udp_kernel_turn has something to do; -1: never. */
int l4_udp_kernel_wait_ms(const struct l4_loop *loop);

#endif
