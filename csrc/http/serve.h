/* What the stages of HTTP and the driver share: exchanges begun, answered and ended. */
#ifndef L4_HTTP_SERVE_H
#define L4_HTTP_SERVE_H

#include "http/body.h"
#include "http/room.h"
#include "run/row.h"
#include "run/stage.h"

/* Begins the next exchange of a session. What its block has of the next request stays there. */
void l4_serve_begin(struct l4_loop *loop, uint32_t index);

/* Frees what an exchange holds besides its session's row: its blocks. */
void l4_serve_free(struct l4_loop *loop, uint32_t index);

/* Receives once from the client into the block, which has room. Returns the bytes; 0: there are
 * none now; -1: the client has ended, as its half's flags say. */
ssize_t l4_serve_receive(struct l4_loop *loop, uint32_t index);

/* As much of a body was moved as can be now, with this result: sees to it that the session goes on
 * with the rest, unless an event of its sockets will make it. */
void l4_serve_move_later(struct l4_loop *loop, uint32_t index, enum l4_body_result result,
                         const struct l4_body *body);

/* The bytes in the block that belong to this exchange are not needed any more. The block stays if
 * more bytes are in it: those of the next request. */
void l4_serve_drop_request(struct l4_loop *loop, uint32_t index);

/* Returns how many bytes l4_serve_keep_extra will take. They have some room in any case: the kept
 * begin of a body gives way, and its request can then not be sent again. */
size_t l4_serve_room_for_extra(struct l4_loop *loop, uint32_t index);

/* Notes bytes that were put into the block: of the request's body, and `extra` behind it. */
void l4_serve_note_kept(const struct l4_loop *loop, uint32_t index, uint32_t bytes, uint32_t extra);

/* Keeps bytes that came behind the request's body: the next request. Returns false if there is no
 * room for them. */
__attribute__((warn_unused_result)) bool l4_serve_keep_extra(struct l4_loop *loop, uint32_t index,
                                                             const char *at, size_t bytes);

/* Passes on to the backend what the client has sent behind its request: it is of another protocol.
 * Returns false if that is lost. */
__attribute__((warn_unused_result)) bool l4_serve_pass_rest(const struct l4_loop *loop,
                                                            uint32_t index);

/* Answers GO(RELAY): from here on the session, whose `http` says as what, moves bytes both
 * ways. */
struct l4_step l4_serve_relay(struct l4_loop *loop, uint32_t index);

/* Answers GO(REPLY): the client gets this status, and the exchange ends for this reason. */
struct l4_step l4_serve_refuse(struct l4_loop *loop, uint32_t index, uint16_t status,
                               enum l4_reason reason);

/* The session is to end for this reason, says a stage. Returns what happens instead: an answer of
 * ours, if the client can still get one; or the same end. */
struct l4_step l4_serve_instead(struct l4_loop *loop, uint32_t index, struct l4_step end);

/* Returns the judged head of the session's request, judged anew if another one came between. */
const struct l4_http_judged *l4_serve_judged(struct l4_loop *loop, uint32_t index);

/* Will the client's connection be used again after this exchange? */
bool l4_serve_client_stays(const struct l4_loop *loop, uint32_t index);

/* Adds bytes that were read from one side to the counts of the session and of its backend. */
void l4_serve_count_bytes(const struct l4_loop *loop, uint32_t index, enum l4_side from,
                          uint64_t bytes);

/* Returns the backend that the session's request asks for by its cookie; L4_NONE: none. */
uint32_t l4_serve_prefers(const struct l4_loop *loop, const struct l4_session *s);

/* Did the client ask for a server name in its TLS handshake whose certificates are not those of the
 * request's host (RFC 9110, 15.5.20)? */
bool l4_serve_is_misdirected(const struct l4_loop *loop, uint32_t index);

/* The answer was sent: a client whose stream of HTTP/2 ends with it is told so. */
void l4_serve_end_answer(struct l4_loop *loop, uint32_t index);

/* Is the client a proxy whose word about its own clients is believed? */
bool l4_serve_trusts(const struct l4_loop *loop, const struct l4_session *s);

static inline struct l4_half *l4_serve_client(const struct l4_loop *loop, uint32_t index)
{
    return &l4_session_at(loop, index)->half[L4_CLIENT];
}

static inline struct l4_half *l4_serve_backend(const struct l4_loop *loop, uint32_t index)
{
    return &l4_session_at(loop, index)->half[L4_BACKEND];
}

/* The half without a socket, of a session without a backend: its pipe holds what the client does
 * not accept. */
static inline struct l4_half *l4_serve_holder(const struct l4_loop *loop, uint32_t index)
{
    return l4_serve_backend(loop, index);
}

/* The rules of the session's listener and of its pool. */
static inline const struct l4_http_listener *l4_serve_rules(const struct l4_loop *loop,
                                                            const struct l4_session *s)
{
    return &l4_table_listener(loop->table, s->listener)->http;
}

static inline const struct l4_http_pool *l4_serve_pool_rules(const struct l4_loop *loop,
                                                             uint32_t index)
{
    return &l4_row_pool(loop, l4_session_at(loop, index))->http;
}

#endif
