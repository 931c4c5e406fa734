/* Fields of messages that a forward proxy adds or takes away, and its pages. */
#ifndef L4_HTTP_FORWARD_FIELDS_H
#define L4_HTTP_FORWARD_FIELDS_H

#include "core/h1write.h"
#include "core/http_texts.h"
#include "http/outward.h"

enum { L4_FORWARD_RULES = 12 };

/* Of a request, where the proxy keeps its clients anonymous: fields that tell of the client are
 * removed, and the request's id, and Referer is cut to its origin. id: the id's name, if there is
 * one. to: room for the origin. Returns the number of rules. */
size_t l4_forward_fields(struct l4_loop *loop, uint32_t index, struct l4_text id,
                         struct l4_text_out *to, struct l4_field_rule *rules);

/* Of an answer with the status 407: how the client is to log in (RFC 9110, 11.7.1). */
void l4_forward_put_challenge(const struct l4_loop *loop, uint32_t index, struct l4_text_out *out);

/* The page of an answer of l4lb's own: that of the rule of a forward proxy which refuses the
 * client, else that of the listener for the status. Without a status: there is none. */
struct l4_texts_page l4_forward_page(const struct l4_loop *loop, uint32_t index,
                                     const struct l4_texts *texts);

#endif
