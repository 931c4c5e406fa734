/* The heads of requests and answers that are inspected: as an engine is shown them, and as they go
 * on. Of csrc/http only. */
#ifndef L4_HTTP_INSPECT_HEADS_H
#define L4_HTTP_INSPECT_HEADS_H

#include "http/inspect.h"

/* Writes the heads that the engine is shown. Returns false if there is no room for them. */
bool l4_inspect_write_heads(struct l4_loop *loop, uint32_t index);

/* Puts the request's head, as it came or as the engine has changed it, into its block, for a body
 * of so many bytes that is held; has_length false: for one in chunks, of which a part is held.
 * Returns false if that is no request, or another one. */
bool l4_inspect_renew(struct l4_loop *loop, uint32_t index, struct l4_text changed, bool has_length,
                      uint64_t length);

/* Reads the head of an answer that is sent to the client with `bytes` of a body. Returns false if
 * it is none. */
bool l4_inspect_read_answer(const struct l4_loop *loop, uint32_t index, struct l4_text text,
                            uint64_t bytes, struct l4_h1_head *head);

#endif
