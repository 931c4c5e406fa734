/* A TCP session from accept to its end: one client, one backend, the relay between them.
 *
 * This is the driver. It hands what happens to a session to the stage of the session's state, and
 * carries out what the stage answers (run/stage.h; run/stages.h draws the states). Only the driver
 * begins, moves and ends sessions.
 *
 * A session owns its two sockets, its pipes, one timer of the wheel and one place among all
 * clients; from the choice of a backend on, also one place at its backend. At the end, the stage
 * gives back what the session has by that stage. A failed attempt gives the place at the backend
 * back; the driver gives back the rest at the end.
 */
#ifndef L4_RUN_SESSION_H
#define L4_RUN_SESSION_H

#include "run/row.h"
#include "run/stage.h"

struct l4_h2_stream;

/* Begins a session for an accepted socket, which the session then owns. The caller has taken the
 * place among all clients. */
void l4_session_open(struct l4_loop *loop, const struct l4_bound *bound, int fd,
                     const struct l4_addr *client);

/* Notes the port that the client asked for, where its listener has a wide range of them. The
 * session has its client's socket and its listener. */
void l4_session_note_port(const struct l4_loop *loop, uint32_t index);

/* Begins a session for a new stream of a client's connection, the session `of`. Returns false if
 * there is no row for it. */
__attribute__((warn_unused_result)) bool l4_session_open_stream(struct l4_loop *loop, uint32_t of,
                                                                struct l4_h2_stream *stream);

/* Begins a session without a client that asks a backend anew for the object that the session `of`
 * has read of its cache. Does nothing if somebody asks already, or if there is no row. */
void l4_session_open_refresh(struct l4_loop *loop, uint32_t of);

/* The epoll events of one of the session's sockets. */
void l4_session_event(struct l4_loop *loop, uint32_t index, enum l4_side side, uint32_t events);

/* The session's timer fired. */
void l4_session_timeout(struct l4_loop *loop, uint32_t index);

/* Resumes a session with work left over from an earlier loop iteration, or one that is first in
 * its queue. Returns true if the session has left its state. */
bool l4_session_resume(struct l4_loop *loop, uint32_t index);

/* Ends the session now and records its end. Its sockets are reset where the reason asks for
 * that. */
void l4_session_end(struct l4_loop *loop, uint32_t index, enum l4_reason reason);

/* Ends a session in RELAY once the bytes that it accepted are delivered; ends any other session
 * now. */
void l4_session_drain(struct l4_loop *loop, uint32_t index, enum l4_reason reason);

/* Can another process take this session over? A session with TLS cannot move: its state is inside
 * OpenSSL. Of HTTP, only a client at rest can. */
bool l4_session_can_move(const struct l4_session *s);

/* The session is offered to another worker: from now on no byte of it is moved here, and no socket
 * is in the epoll set. */
void l4_session_offer(struct l4_loop *loop, uint32_t index);

/* The other worker has the session: frees what this worker holds of it. No end is recorded,
 * because the session has not ended. */
void l4_session_release(struct l4_loop *loop, uint32_t index);

/* The session comes back from an offer, or arrives from another worker, and continues in
 * `state`. */
void l4_session_again(struct l4_loop *loop, uint32_t index, enum l4_session_state state);

#endif
