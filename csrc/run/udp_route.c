#include "run/udp_route.h"

#include <string.h>

#include "base/assert.h"
#include "base/random.h"
#include "core/access.h"
#include "core/hash_key.h"
#include "core/pick.h"
#include "core/quic.h"
#include "core/route.h"
#include "run/udp_session.h"
#include "shm/count.h"
#include "shm/row_reuse.h"

/* Is the client's port one that can be served? A datagram from this listener's own address would
 * be answered to itself for ever, and nobody can answer to port 0. */
static bool has_good_port(const struct l4_listener *listener, const struct l4_dgram *d,
                          const struct l4_addr *local)
{
    return d->peer.port != 0 && !(d->peer.port < 1024 && L4_GET(listener->udp.no_privileged)) &&
           !l4_addr_equal(&d->peer, local);
}

/* Do the listener's access list and the blocked sources let a new client in? */
static bool is_let_in(struct l4_loop *loop, uint32_t row, const struct l4_addr *client)
{
    const struct l4_policy *edge = &l4_table_listener(loop->table, row)->edge;
    struct l4_tally *tally = l4_table_tally(loop->table, loop->setup.index, row);
    const uint32_t needs = L4_GET(edge->needs);
    if (needs & L4_NEEDS_BLOCKS) {
        const uint8_t found = l4_access_find(loop->table, L4_SET_BLOCKS, client);
        if (found && !L4_GET(loop->table->header->block_verdict[found & 1].dry_run))
            return false;
        if (found)
            L4_OWN_ADD(tally->dry_run[L4_END_REJECTED_BLOCKED - L4_REJECTED_FIRST], 1);
    }
    if (needs & L4_NEEDS_ACCESS) {
        const bool denied = l4_access_denies(loop->table, edge, client);
        if (denied && !L4_GET(edge->access.dry_run))
            return false;
        if (denied)
            L4_OWN_ADD(tally->dry_run[L4_END_REJECTED_DENIED - L4_REJECTED_FIRST], 1);
    }
    return true;
}

static uint32_t pool_for(struct l4_loop *loop, uint32_t row, const struct l4_addr *client)
{
    const struct l4_listener *listener = l4_table_listener(loop->table, row);
    if (!(L4_GET(listener->edge.needs) & L4_NEEDS_ROUTE))
        return listener->pool;
    const struct l4_route_client about = {
        .addr = client, .name = "", .random = (uint32_t)l4_random(&loop->random)};
    const uint32_t pool = l4_route_choose(loop->table, row, &about);
    return pool == L4_NONE ? listener->pool : pool;
}

/* ---- subflows -------------------------------------------------------------------------------- */

/* Returns the subflow of the next backend in turn, for this datagram alone; 0: there is none. */
static uint32_t subflow_in_turn(struct l4_loop *loop, uint32_t pool, const struct l4_addr *client)
{
    const struct l4_key_rule *rule = &l4_table_pool(loop->table, pool)->hash_rule;
    const struct l4_pick_request request = {
        .worker = loop->setup.index,
        .pool = pool,
        .now_ms = loop->now_ms,
        .hash = l4_key_hash(&loop->table->header->hash_key, rule, client, 0),
        .random = l4_random(&loop->random),
    };
    const uint32_t backend = l4_pick(loop->table, &request).backend;
    if (backend == L4_NONE)
        return 0;
    /* why: a place belongs to a session. A client that has a session at this backend takes no
     * second place. */
    l4_count_drop_backend(loop->table, loop->setup.index, backend);
    return backend + 1;
}

/* Returns the subflow of this pool's backend with that server id; 0 if there is none, or it may not
 * serve. */
static uint32_t subflow_of_server(struct l4_loop *loop, uint32_t pool, const uint8_t *id,
                                  uint32_t bytes)
{
    const uint32_t high = l4_table_backends_high(loop->table);
    for (uint32_t i = 0; i < high; i++) {
        const struct l4_backend *b = l4_table_backend(loop->table, i);
        const struct l4_pick_request request = {
            .worker = loop->setup.index, .pool = pool, .now_ms = loop->now_ms, .dry = true};
        if (L4_GET(b->used) && b->pool == pool && b->server_id.bytes == bytes &&
            memcmp(b->server_id.id, id, bytes) == 0)
            return l4_pick_this(loop->table, &request, i, true) ? i + 1 : 0;
    }
    return 0;
}

static const uint8_t *server_id(const struct l4_udp_settings *settings, const struct l4_dgram *d)
{
    const uint32_t bytes = L4_GET(settings->quic_bytes);
    return bytes <= L4_SERVER_ID_MAX
               ? l4_quic_server_id(d->data, d->bytes, L4_GET(settings->quic_config), bytes)
               : NULL;
}

/* Returns the client's session at the backend that the packet names. Returns the client's first
 * session if it is bound to that backend, or if the packet names none. */
static uint32_t find_quic(struct l4_loop *loop, uint32_t pool, struct l4_flow_key *key,
                          const struct l4_dgram *d)
{
    const struct l4_udp_settings *settings = &l4_table_pool(loop->table, pool)->udp;
    const uint8_t *id = server_id(settings, d);
    const uint32_t first = l4_flows_find(&loop->udp->flows, key);
    if (!id)
        return first;
    const uint32_t subflow = subflow_of_server(loop, pool, id, L4_GET(settings->quic_bytes));
    if (!subflow || (first != L4_NONE && l4_udp_session(loop, first)->backend == subflow - 1))
        return first;
    key->subflow = subflow;
    return l4_flows_find(&loop->udp->flows, key);
}

bool l4_udp_goes_together(const struct l4_loop *loop, uint32_t bound, const struct l4_dgram *run)
{
    const struct l4_listener *listener =
        l4_table_listener(loop->table, loop->bounds[bound].listener);
    const uint32_t ways = L4_GET(listener->udp.ways);
    if (!(ways & (L4_UDP_COUNTS | L4_UDP_QUIC)))
        return true;
    if (ways & (L4_UDP_COUNTS | L4_UDP_ROUTES))
        return false;
    const struct l4_udp_settings *settings = &l4_table_pool(loop->table, listener->pool)->udp;
    struct l4_dgram piece;
    uint32_t at = 0;
    const uint8_t *first = NULL;
    for (bool any = false; l4_dgram_piece(run, &at, &piece); any = true) {
        const uint8_t *id = server_id(settings, &piece);
        if (!any)
            first = id;
        else if (!id != !first || (id && memcmp(id, first, L4_GET(settings->quic_bytes)) != 0))
            return false;
    }
    return true;
}

/* ---- the session of a message ---------------------------------------------------------------- */

uint32_t l4_udp_route(struct l4_loop *loop, uint32_t bound, const struct l4_dgram *d)
{
    L4_ASSERT(bound < loop->bound_count && loop->udp->fronts[bound].open);
    const struct l4_udp_front *front = &loop->udp->fronts[bound];
    const uint32_t row = loop->bounds[bound].listener;
    const struct l4_listener *listener = l4_table_listener(loop->table, row);
    const uint32_t ways = L4_GET(listener->udp.ways);
    struct l4_flow_key key = {.client = d->peer, .local = front->at, .listener = row};
    enum l4_drop why = L4_DROP_PORT;
    uint32_t flow = L4_NONE, pool = L4_NONE;
    if (front->wildcard && d->local.family) {
        key.local = d->local;
        key.local.port = front->at.port;
    }
    const bool good = has_good_port(listener, d, &key.local);
    if (good && ways & (L4_UDP_IN_TURN | L4_UDP_QUIC))
        pool = pool_for(loop, row, &d->peer);
    if (pool != L4_NONE && L4_GET(l4_table_pool(loop->table, pool)->udp.per_datagram)) {
        key.subflow = subflow_in_turn(loop, pool, &d->peer);
        flow = l4_flows_find(&loop->udp->flows, &key);
    } else if (pool != L4_NONE && L4_GET(l4_table_pool(loop->table, pool)->udp.quic_id)) {
        flow = find_quic(loop, pool, &key, d);
    } else if (good) {
        flow = l4_flows_find(&loop->udp->flows, &key);
    }
    if (flow != L4_NONE)
        return flow;
    if (good && !is_let_in(loop, row, &d->peer))
        why = L4_DROP_DENIED;
    else if (good)
        flow = l4_udp_open(loop, bound, pool == L4_NONE ? pool_for(loop, row, &d->peer) : pool,
                           &key, d->scope, &why);
    if (flow == L4_NONE)
        l4_udp_drop(loop, row, why, l4_dgram_count(d));
    return flow;
}
