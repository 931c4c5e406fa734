#include "core/route.h"

#include <string.h>

#include "shm/policy_rows.h"
#include "shm/table.h"

static bool name_matches(const struct l4_route *route, const struct l4_route_client *client)
{
    const uint32_t bytes = route->name_bytes;
    if (route->wants & L4_ROUTE_ANY_NAME)
        return client->name_bytes > 0;
    if (route->wants & L4_ROUTE_NAME)
        return client->name_hash == route->name_hash && client->name_bytes == bytes &&
               memcmp(client->name, route->name, bytes) == 0;
    return client->name_bytes > bytes &&
           memcmp(client->name + client->name_bytes - bytes, route->name, bytes) == 0;
}

static bool offers(const struct l4_route *route, const struct l4_route_client *client)
{
    for (uint32_t at = 0; at < client->alpn_bytes; at += 1u + client->alpn[at]) {
        if (client->alpn[at] == route->alpn_bytes &&
            memcmp(client->alpn + at + 1, route->alpn, route->alpn_bytes) == 0)
            return true;
    }
    return false;
}

/* True if all conditions but the percentage hold. */
static bool is_met(const struct l4_route *route, const struct l4_route_client *client)
{
    const uint32_t wants = route->wants;
    if (wants & (L4_ROUTE_NAME | L4_ROUTE_SUFFIX | L4_ROUTE_ANY_NAME) &&
        !name_matches(route, client))
        return false;
    if (wants & L4_ROUTE_ALPN && !offers(route, client))
        return false;
    return !(wants & L4_ROUTE_SOURCE) ||
           l4_addr_within(client->addr, &route->source, route->prefix);
}

/* Returns the pool of the first of these routes that matches. */
static uint32_t first_match(const struct l4_route *routes, uint32_t count,
                            const struct l4_route_client *client)
{
    uint32_t left = client->random, missed = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct l4_route *route = &routes[i];
        if (is_met(route, client)) {
            if (!(route->wants & L4_ROUTE_SHARE) || left < route->share)
                return route->pool;
            missed = route->share;
        }
        if (!(route->wants & L4_ROUTE_GOES_ON)) {
            left -= missed;
            missed = 0;
        }
    }
    return L4_NONE;
}

uint32_t l4_route_choose(const struct l4_table *table, uint32_t listener,
                         const struct l4_route_client *client)
{
    const struct l4_policy *edge = &l4_table_listener(table, listener)->edge;
    for (;;) { /* it ends: each further round needs a change of all routes during the one before */
        const uint32_t generation =
            atomic_load_explicit(&table->header->routes_generation, memory_order_acquire);
        const uint32_t at = L4_GET(edge->routes_at[generation & 1]);
        const uint32_t count = L4_GET(edge->routes_count[generation & 1]);
        const uint32_t room = at < L4_ROUTES_MAX ? L4_ROUTES_MAX - at : 0;
        const uint32_t pool = first_match(l4_table_routes(table, generation) + at,
                                          count < room ? count : room, client);
        /* why: a change of all routes meanwhile has written into the half that was just read. */
        atomic_thread_fence(memory_order_acquire);
        if (generation == L4_GET(table->header->routes_generation))
            return pool < table->plan.caps.pools ? pool : L4_NONE;
    }
}
