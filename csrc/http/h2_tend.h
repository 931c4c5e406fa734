/* HTTP/2 in a worker's loop: which clients speak it, sessions for new streams, and what becomes of
 * connections after each iteration. */
#ifndef L4_HTTP_H2_TEND_H
#define L4_HTTP_H2_TEND_H

#include "base/reason.h"
#include "http/room.h"

/* Has the client agreed on HTTP/2 in its TLS handshake? */
bool l4_h2_is_agreed(const struct l4_loop *loop, uint32_t index);

/* Is the head in the session's block the begin of HTTP/2, and may the client speak it? */
bool l4_h2_is_begun(const struct l4_loop *loop, uint32_t index, uint32_t bytes);

/* Returns the session whose connection carries this one: of a stream, another one. */
uint32_t l4_h2_connection(const struct l4_loop *loop, uint32_t index);

/* Returns how many requests a stream's connection had before it; 0 if the session is none. */
uint32_t l4_h2_requests_before(const struct l4_loop *loop, uint32_t index);

/* Returns what was wrong with the request of a stream that its client made us reset, in a word;
 * NULL for any other session. */
const char *l4_h2_fault(const struct l4_loop *loop, uint32_t index);

/* Before the events of a loop iteration. */
void l4_h2_begin_turn(struct l4_loop *loop);

/* After the events: streams are told what has come for them, frames leave, connections end. */
void l4_h2_turn(struct l4_loop *loop);

/* Is there work for the next iteration already? */
bool l4_h2_is_busy(const struct l4_loop *loop);

/* Ends the sessions of a connection's streams. */
void l4_h2_end_streams(struct l4_loop *loop, struct l4_h2_conn *conn, enum l4_reason why);

/* Clients are told that their connections take no more streams. */
void l4_h2_drain(struct l4_loop *loop);

#endif
