/* Which pool do a listener's routes send this client to?
 *
 * First match wins; a route matches if all that it wants holds. A route has a row for each
 * combination of its names, protocols and networks. Shares are of the clients that meet a route's
 * other conditions, those included that an earlier share took: two routes of 10 percent are 20
 * percent. So one number is drawn a client, and what an earlier share had of it is over. Pure: what
 * is known of the client and chance are arguments, the routes are the table's half that is in
 * force.
 */
#ifndef L4_CORE_ROUTE_H
#define L4_CORE_ROUTE_H

#include <stdbool.h>

#include "shm/layout.h"

struct l4_table;

struct l4_route_client {
    const struct l4_addr *addr;
    const char *name; /* the server name asked for, lower case */
    const uint8_t *alpn;
    uint32_t name_bytes, alpn_bytes; /* 0: none */
    uint64_t name_hash;
    uint32_t random; /* for shares */
};

/* The pool of the first of the listener's routes that matches; L4_NONE: none does. */
uint32_t l4_route_choose(const struct l4_table *table, uint32_t listener,
                         const struct l4_route_client *client);

#endif
