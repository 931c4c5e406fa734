/* The routes of a request: which one takes it, and what it changes (core/router.h).
 *
 * A route is found once, when the head was judged. Its changes are read again wherever a head is
 * written, so that no copy of them is kept; a request whose route was removed by a reload goes on
 * without changes.
 */
#ifndef L4_HTTP_ROUTING_H
#define L4_HTTP_ROUTING_H

#include "core/h1write.h"
#include "core/http_route.h"
#include "http/room.h"
#include "run/row.h"
#include "run/stage.h"

/* Chooses the route of a request that was judged. Answers PICK with the session's pool set, or
 * REPLY. */
struct l4_step l4_routing_choose(struct l4_loop *loop, uint32_t index);

/* A request whose pool is known goes on there: by its cache of this number (0: none), or to where
 * its client wants to go. */
struct l4_step l4_routing_go_on(struct l4_loop *loop, uint32_t index, uint32_t cache);

/* The fields of a request, which struct l4_router_request refers to. */
struct l4_routing_fields {
    const struct l4_h1_head *head;
    const char *bytes;
};

/* Returns the session's request as routes see it. `fields` must live as long as the result. */
struct l4_router_request l4_routing_request(struct l4_loop *loop, uint32_t index,
                                            struct l4_routing_fields *fields);

/* Finds the route of the session's request again. Returns false if it has none. */
bool l4_routing_find(const struct l4_loop *loop, uint32_t index, struct l4_http_choice *choice);

/* Reads the changes of a route as rules. Returns how many there are. */
size_t l4_routing_changes(const struct l4_http_choice *choice, struct l4_router_list changes,
                          struct l4_field_rule rules[static L4_ROUTE_CHANGES_MAX]);

/* Writes a location, or the target to send, to `to`. Returns its bytes; 0: it does not fit. */
uint32_t l4_routing_write(struct l4_loop *loop, uint32_t index, const struct l4_http_choice *choice,
                          struct l4_router_list parts, char *to, uint32_t room);

#endif
