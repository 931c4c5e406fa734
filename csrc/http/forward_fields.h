/* Fields of messages that a forward proxy adds or takes away. */
#ifndef L4_HTTP_FORWARD_FIELDS_H
#define L4_HTTP_FORWARD_FIELDS_H

#include "core/h1write.h"
#include "http/outward.h"

enum { L4_FORWARD_RULES = 12 };

/* Of a request, where the proxy keeps its clients anonymous: fields that tell of the client are
 * removed, and the request's id, and Referer is cut to its origin. id: the id's name, if there is
 * one. to: room for the origin. Returns the number of rules. */
size_t l4_forward_fields(struct l4_loop *loop, uint32_t index, struct l4_text id,
                         struct l4_text_out *to, struct l4_field_rule *rules);

/* Of an answer with the status 407: how the client is to log in (RFC 9110, 11.7.1). */
void l4_forward_put_challenge(const struct l4_loop *loop, uint32_t index, struct l4_text_out *out);

#endif
