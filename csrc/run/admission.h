/* Admission rules: may this client come in, and if not, how is it turned away?
 *
 * The rules are applied once for each session, when the address that counts is known: the
 * socket's, or the one in the PROXY header of a trusted sender. Rules about the source come first,
 * so that a client who is turned away for its own address uses up nothing of what the listener has
 * for all. A rule in dry run only counts the clients that it would have turned away.
 */
#ifndef L4_RUN_ADMISSION_H
#define L4_RUN_ADMISSION_H

#include "run/row.h"
#include "run/stage.h"

/* Takes a place among the listener's sessions, if the session has none yet; called before a PROXY
 * header is read. Answers L4_STAY if the session may go on, else how it is turned away. */
struct l4_step l4_admission_place(struct l4_loop *loop, uint32_t index);

/* Applies all rules. Called once, when the client's address is known. Answers as
 * l4_admission_place does. */
struct l4_step l4_admission_client(struct l4_loop *loop, uint32_t index);

/* Returns the key by which limits of the session's listener count the source of this client.
 * salt: tells the limit from others. */
uint64_t l4_admission_source(const struct l4_loop *loop, const struct l4_session *s,
                             const struct l4_addr *client, uint64_t salt);

/* Applies the access list and the blocks to a request of a peer that is trusted to speak for its
 * clients. Returns why the request's client is turned away; L4_END_NONE: it is not. */
enum l4_reason l4_admission_request(struct l4_loop *loop, uint32_t index);

/* Answers how a client is turned away for a reason that is one of the rejections. */
struct l4_step l4_admission_refuse(const struct l4_loop *loop, struct l4_session *s,
                                   enum l4_reason reason, enum l4_refusal refusal);

/* Counts a session that another process admitted and that this one takes over. Limits are not
 * applied: the giver gives the session's places back in the next moment. */
void l4_admission_again(struct l4_loop *loop, uint32_t index);

/* Counts all sessions again, after the limits of listeners have changed. Sessions above a new
 * limit stay. */
void l4_admission_recount(struct l4_loop *loop);

/* Gives back the places that the session has by its admission. */
void l4_admission_leave(struct l4_loop *loop, struct l4_session *s);

/* The client has said all that is asked of it before its traffic. Answers PICK, or REQUEST for a
 * listener of HTTP. */
static inline struct l4_step l4_admission_done(const struct l4_loop *loop,
                                               const struct l4_session *s)
{
    return l4_go(L4_GET(l4_row_policy(loop, s)->needs) & L4_NEEDS_REQUEST ? L4_SESSION_REQUEST
                                                                          : L4_SESSION_PICK);
}

#endif
