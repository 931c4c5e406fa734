/* One UDP session: opened by a client's first datagram, bound to a backend, moved to another one
 * when the backend is gone, ended by its idle time, its count of datagrams, or an operator.
 *
 * It owns one socket, one timer, one place among all UDP sessions, and one at its backend. All is
 * given back in l4_udp_end, and nowhere else. A row may be used again at once: what the kernel
 * still has to say of its last socket finds a socket with nothing to read, which harms nobody.
 */
#ifndef L4_RUN_UDP_SESSION_H
#define L4_RUN_UDP_SESSION_H

#include "run/udp.h"

struct l4_session *l4_udp_session(const struct l4_loop *loop, uint32_t flow);
struct l4_flow *l4_udp_flow(const struct l4_loop *loop, uint32_t flow);

/* The one setter of its state: from PICK to RELAY. */
void l4_udp_enter(struct l4_loop *loop, uint32_t flow, enum l4_session_state state);

/* Opens a session for a client's first datagram and binds it to a backend; makes room by ending
 * another one if it has to. Returns its row, or L4_NONE with *why set. */
uint32_t l4_udp_open(struct l4_loop *loop, uint32_t bound, uint32_t pool,
                     const struct l4_flow_key *key, uint32_t scope, enum l4_drop *why);

/* May its backend go on serving it? It may be gone, or down. */
bool l4_udp_is_served(const struct l4_loop *loop, uint32_t flow);

/* Ends the sessions whose backend may not serve them any more. */
void l4_udp_sweep(struct l4_loop *loop);

/* Leaves its backend for another one; failed: the backend was not there, which is counted.
 * False: there is none and the session has ended. */
bool l4_udp_move(struct l4_loop *loop, uint32_t flow, bool failed);

/* Its timer fired. */
void l4_udp_timeout(struct l4_loop *loop, uint32_t flow);

/* Ends it and accounts for it. */
void l4_udp_end(struct l4_loop *loop, uint32_t flow, enum l4_reason reason);

/* Ends the session of this row (those of UDP follow those of TCP) for an operator, if its serial is
 * still this one. */
void l4_udp_kill(struct l4_loop *loop, uint32_t slot, uint32_t serial);

/* Ends all, or (backend not L4_NONE) all of one backend. */
void l4_udp_end_all(struct l4_loop *loop, uint32_t backend, enum l4_reason reason);

/* ---- for who takes sessions over (run/udp_adopt.h) --------------------------------------------
 */

/* Leaves its backend: its socket is closed, its place given back. */
void l4_udp_leave(struct l4_loop *loop, struct l4_session *s);

/* Makes it a socket connected to its backend, from the port it had if nobody has it, watched.
 * Returns 0 or -errno; *made says whether a socket could be had at all. */
__attribute__((warn_unused_result)) int l4_udp_connect(struct l4_loop *loop, uint32_t flow,
                                                       bool *made);

/* What its source is counted by, and giving its place there back. */
uint64_t l4_udp_source(const struct l4_loop *loop, const struct l4_addr *client, uint32_t listener);
void l4_udp_drop_source(struct l4_loop *loop, uint32_t flow);

/* How long it may be idle. */
uint32_t l4_udp_idle_ms(const struct l4_loop *loop, const struct l4_session *s);

#endif
