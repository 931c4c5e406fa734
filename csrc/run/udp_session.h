/* One UDP session. A client's first datagram opens it and binds it to a backend. It moves to
 * another backend when its own is gone. It ends by its idle time, its count of datagrams, or an
 * operator.
 *
 * A session owns one socket, one timer, one place among all UDP sessions, and one place at its
 * backend. l4_udp_end gives these back; l4_udp_let_go and l4_udp_forget do so when another worker
 * has the session. A row may be used again at once: a late event of the last socket finds a socket
 * with nothing to read, which harms nobody.
 */
#ifndef L4_RUN_UDP_SESSION_H
#define L4_RUN_UDP_SESSION_H

#include "run/udp.h"

struct l4_session *l4_udp_session(const struct l4_loop *loop, uint32_t flow);
struct l4_flow *l4_udp_flow(const struct l4_loop *loop, uint32_t flow);

/* The only setter of the state. The states are FREE, PICK and RELAY. */
void l4_udp_enter(struct l4_loop *loop, uint32_t flow, enum l4_session_state state);

/* Opens a session for a client's first datagram and binds it to a backend. May end another session
 * to make room. Returns its row, or L4_NONE with *why set. */
uint32_t l4_udp_open(struct l4_loop *loop, uint32_t bound, uint32_t pool,
                     const struct l4_flow_key *key, uint32_t scope, enum l4_drop *why);

/* May its backend continue to serve the session? The backend may be gone, or down. */
bool l4_udp_is_served(const struct l4_loop *loop, uint32_t flow);

/* Has this worker sessions of a backend that is not in use, or known to be down? */
bool l4_udp_misses_backend(const struct l4_loop *loop);

/* Ends the sessions whose backend may not serve them any more. */
void l4_udp_sweep(struct l4_loop *loop);

/* Moves the session to another backend. failed: its backend could not be reached, which is
 * counted. Returns false if there is no other backend; the session has then ended. */
bool l4_udp_move(struct l4_loop *loop, uint32_t flow, bool failed);

/* The session's timer fired. */
void l4_udp_timeout(struct l4_loop *loop, uint32_t flow);

/* Ends the session and records its end. */
void l4_udp_end(struct l4_loop *loop, uint32_t flow, enum l4_reason reason);

/* Ends the session of this row (UDP rows follow TCP rows) for an operator, if it still has this
 * serial. */
void l4_udp_kill(struct l4_loop *loop, uint32_t slot, uint32_t serial);

/* Ends all sessions; if backend is not L4_NONE, all sessions of that backend. */
void l4_udp_end_all(struct l4_loop *loop, uint32_t backend, enum l4_reason reason);

/* ---- for run/udp_adopt.h --------------------------------------------------------------------- */

/* Leaves the backend: closes the socket and gives the place back. */
void l4_udp_leave(struct l4_loop *loop, struct l4_session *s);

/* Gives the session a socket connected to its backend, in the epoll set, from its former port if
 * that is free. Returns 0 or -errno; *made says whether there was a socket to use at all. */
__attribute__((warn_unused_result)) int l4_udp_connect(struct l4_loop *loop, uint32_t flow,
                                                       bool *made);

/* l4_udp_source: returns the key by which the sessions of a source are counted.
 * l4_udp_drop_source: gives the session's place there back. */
uint64_t l4_udp_source(const struct l4_loop *loop, const struct l4_addr *client, uint32_t listener);
void l4_udp_drop_source(struct l4_loop *loop, uint32_t flow);

/* Returns the idle timeout of the session. */
uint32_t l4_udp_idle_ms(const struct l4_loop *loop, const struct l4_session *s);

#endif
