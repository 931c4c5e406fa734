/* Messages as l4lb sends them: requests to backends and answers to clients, with heads written
 * anew. */
#ifndef L4_HTTP_MESSAGE_H
#define L4_HTTP_MESSAGE_H

#include "http/body.h"
#include "http/room.h"

/* Writes the session's request as its backend gets it: its head and what the block has of its body.
 * Returns false if there is no room for it. The message lies in loop->http->written. */
__attribute__((warn_unused_result)) bool l4_message_request(struct l4_loop *loop, uint32_t index,
                                                            char **at, size_t *bytes);

/* Writes the head of an answer as the client gets it, to loop->http->written. `body` is its body,
 * `length` what Content-Length tells; has_length: it is told. Returns its bytes; 0: there is no
 * room for it. */
size_t l4_message_answer(struct l4_loop *loop, uint32_t index, const char *bytes,
                         const struct l4_h1_head *head);

/* Writes the head of a backend's answer as a cache keeps it: without what is of one connection, of
 * one client, or tells the age, and without a length. Sets out->full if it cannot be kept. */
void l4_message_to_store(struct l4_loop *loop, uint32_t index, const char *bytes,
                         const struct l4_h1_head *head, struct l4_text_out *out);

/* Writes an answer of l4lb itself, with its body. Returns its bytes. */
size_t l4_message_reply(struct l4_loop *loop, uint32_t index);

#endif
