/* A TCP session from accept to its account: one client, one backend, the relay between them.
 *
 * The driver: it hands what happens to a session to the stage of its state, and carries out what
 * the stage answers (run/stage.h; run/stages.h has the picture of the states). It alone begins,
 * moves and ends sessions.
 *
 * A session owns its two sockets, its pipes, one timer of the wheel, one place among all clients,
 * and, from the pick on, one place at its backend. At its end its stage gives back what it has by
 * that stage, and the driver the rest, here and nowhere else.
 */
#ifndef L4_RUN_SESSION_H
#define L4_RUN_SESSION_H

#include "run/row.h"
#include "run/stage.h"

/* Begins a session for an accepted socket, which it takes over. The caller has taken the place
 * among all clients. */
void l4_session_open(struct l4_loop *loop, const struct l4_bound *bound, int fd,
                     const struct l4_addr *client);

/* The kernel's word on one of its sockets. */
void l4_session_event(struct l4_loop *loop, uint32_t index, enum l4_side side, uint32_t events);

/* Its timer fired. */
void l4_session_timeout(struct l4_loop *loop, uint32_t index);

/* Work left over from an earlier turn, or its turn in a queue, has come. True: it has left its
 * state. */
bool l4_session_resume(struct l4_loop *loop, uint32_t index);

/* Ends it now, with a reset where its reason is one, and accounts for it. */
void l4_session_end(struct l4_loop *loop, uint32_t index, enum l4_reason reason);

/* Ends one that relays once what was accepted before has been delivered; any other one now. */
void l4_session_drain(struct l4_loop *loop, uint32_t index, enum l4_reason reason);

/* Can another process take this session over? Not with TLS: its state is OpenSSL's. */
bool l4_session_can_move(const struct l4_session *s);

/* It goes on its way to another worker: nothing of it is moved or watched here. */
void l4_session_offer(struct l4_loop *loop, uint32_t index);

/* The other worker has it: lets go of it, as nothing of it has ended. */
void l4_session_release(struct l4_loop *loop, uint32_t index);

/* It comes back from its way, or from another worker's, in the state that it had there. */
void l4_session_again(struct l4_loop *loop, uint32_t index, enum l4_session_state state);

#endif
