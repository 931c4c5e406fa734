/* What EXCHANGE does with bodies that are held back: answers are collected, and what is held is
 * passed on. Of csrc/http only. */
#ifndef L4_HTTP_INSPECT_PASS_H
#define L4_HTTP_INSPECT_PASS_H

#include "http/inspect.h"

/* The request is sent, perhaps once more: what is held of its body is passed on first. */
void l4_inspect_pass_request(struct l4_loop *loop, uint32_t index);

/* Passes on what is held of the request's body, or of the answer's. Clears l4_exchange.holds' UP or
 * DOWN when it has been. */
struct l4_step l4_inspect_move(struct l4_loop *loop, uint32_t index, enum l4_side from);

/* Is the answer with this head to be inspected? */
bool l4_inspect_wants_answer(struct l4_loop *loop, uint32_t index, const struct l4_h1_head *head);

/* Holds the answer back: its head, and what has come behind that. */
struct l4_step l4_inspect_hold(struct l4_loop *loop, uint32_t index, const char *bytes,
                               const struct l4_h1_head *head, char *rest, size_t rest_bytes);

/* Collects more of it. */
struct l4_step l4_inspect_collect(struct l4_loop *loop, uint32_t index);

/* The timer fired while it was collected. idle_ms: how long the backend may be silent. */
struct l4_step l4_inspect_timeout(struct l4_loop *loop, uint32_t index, uint64_t idle_ms);

#endif
