/* Routes: chooses a client's pool by a listener's routes.
 *
 * The first match wins; a route matches if all its conditions hold. A route has a row for each
 * combination of its names, protocols and networks. Percentages are of all clients that meet a
 * route's other conditions, also of those that an earlier percentage took: two routes of 10
 * percent get 20 percent together. Each client therefore has one random number, and an earlier
 * percentage uses up its part of the range. Pure: the client's facts and the random number are
 * arguments, and the routes are the half of the table that is in force.
 */
#ifndef L4_CORE_ROUTE_H
#define L4_CORE_ROUTE_H

#include <stdbool.h>

#include "shm/layout.h"

struct l4_table;

struct l4_route_client {
    const struct l4_addr *addr;
    const char *name; /* the server name, in lower case */
    const uint8_t *alpn;
    uint32_t name_bytes, alpn_bytes; /* 0: none */
    uint64_t name_hash;
    uint32_t random; /* for percentages */
};

/* Returns the pool of the first route of the listener that matches; L4_NONE: none matches. */
uint32_t l4_route_choose(const struct l4_table *table, uint32_t listener,
                         const struct l4_route_client *client);

#endif
