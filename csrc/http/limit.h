/* Limits of requests: rates of a listener and of a route, for all clients, for each source and for
 * each value of a key; and the errors that a source may get.
 *
 * All of them are token buckets of one table that all workers share (core/rate_table.h), so they
 * are exact over all workers. A limit in dry run only counts. A request takes its tokens in this
 * order: its source's, its key's, those of all. So who is above a limit of his own uses up nothing
 * of what all have together.
 *
 * Errors are counted when an answer ends, whoever made it. A source whose bucket of errors is empty
 * is refused until a token comes back; such a refusal is not an error itself, so it ends.
 */
#ifndef L4_HTTP_LIMIT_H
#define L4_HTTP_LIMIT_H

#include "core/http_route.h"
#include "run/row.h"
#include "run/stage.h"

/* Applies the limits of the session's listener to its request. Answers L4_STAY if it may go on. */
struct l4_step l4_limit_listener(struct l4_loop *loop, uint32_t index,
                                 const struct l4_router_request *request);

/* The same for the limits of the route that takes it. */
struct l4_step l4_limit_route(struct l4_loop *loop, uint32_t index,
                              const struct l4_router_request *request,
                              const struct l4_http_choice *choice);

/* May the request go on, by a rule of a filter that limits requests of a source? */
bool l4_limit_rule(struct l4_loop *loop, uint32_t index, const struct l4_router_route *rule);

/* The request has its answer: counts it, if it is an error. reason: why the request has ended. */
void l4_limit_answered(struct l4_loop *loop, uint32_t index, enum l4_reason reason);

#endif
