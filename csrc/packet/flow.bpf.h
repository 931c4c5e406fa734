/* Flows: found, begun, proven and ended.
 *
 * A flow is two entries, one for each direction. It is young until its client is proven: has
 * acknowledged what the backend's SYN-ACK said, or has sent a datagram after an answer. Young ones
 * are in a table that drops the oldest, so a flood of made-up sources drops its own; proven ones
 * are in one that drops nothing.
 */
#ifndef L4_PACKET_FLOW_BPF_H
#define L4_PACKET_FLOW_BPF_H

#include "packet/choose.bpf.h"

enum { NOEXIST = BPF_NOEXIST, EXISTS = -17, ACKNOWLEDGED_MAX = 1 << 24 };

/* The key of the other direction. */
HERE void key_of_twin(const struct l4_forward_key *key, const struct l4_forward_flow *flow,
                      struct l4_forward_key *twin)
{
    __builtin_memset(twin, 0, sizeof *twin);
    __builtin_memcpy(twin->from, flow->to, sizeof twin->from);
    __builtin_memcpy(twin->to, flow->from, sizeof twin->to);
    twin->from_port = flow->to_port;
    twin->to_port = flow->from_port;
    twin->protocol = key->protocol;
    twin->family = key->family;
}

HERE struct l4_forward_flow *find(const struct l4_forward_key *key, bool *is_young)
{
    struct l4_forward_flow *flow = bpf_map_lookup_elem(&flows, key);
    *is_young = !flow;
    return flow ? flow : bpf_map_lookup_elem(&young, key);
}

HERE struct l4_forward_total *total_of(const struct l4_forward_flow *flow)
{
    const uint32_t key = flow->backend;
    return bpf_map_lookup_elem(&totals, &key);
}

HERE bool is_one_way(const struct l4_forward_flow *flow)
{
    return flow->mode == L4_FORWARD_MAC || flow->mode == L4_FORWARD_IPIP;
}

/* ---- proof ----------------------------------------------------------------------------------- */

/* Moves a flow to the table that drops nothing. */
static __noinline int prove(const struct l4_forward_key *key, const struct l4_forward_flow *flow)
{
    struct l4_forward_key twin;
    if (!key || !flow)
        return 0;
    const bool one_way = is_one_way(flow);
    key_of_twin(key, flow, &twin);
    if (!one_way) {
        const struct l4_forward_flow *back = bpf_map_lookup_elem(&young, &twin);
        if (!back)
            return 0;
        const long error = bpf_map_update_elem(&flows, &twin, back, NOEXIST);
        if (error && error != EXISTS) {
            count_drop(L4_FORWARD_FULL);
            return 0;
        }
    }
    const long error = bpf_map_update_elem(&flows, key, flow, NOEXIST);
    if (error && error != EXISTS) {
        if (!one_way)
            bpf_map_delete_elem(&flows, &twin);
        count_drop(L4_FORWARD_FULL);
        return 0;
    }
    struct l4_forward_total *total = total_of(flow);
    if (total && !error)
        total->proven++;
    bpf_map_delete_elem(&young, key);
    if (!one_way)
        bpf_map_delete_elem(&young, &twin);
    return 1;
}

/* A packet of a young flow: has it proven its client? */
HERE void look_at_young(const struct packet *packet, struct l4_forward_flow *flow)
{
    const bool tcp = packet->key.protocol == IPPROTO_TCP;
    if (flow->flags & L4_FORWARD_REPLY) {
        if (tcp && (packet->flags & (TCP_SYN | TCP_ACK)) != (TCP_SYN | TCP_ACK))
            return;
        struct l4_forward_key twin;
        key_of_twin(&packet->key, flow, &twin);
        struct l4_forward_flow *forth = bpf_map_lookup_elem(&young, &twin);
        if (!forth)
            return;
        forth->proof = packet->number + 1;
        __sync_fetch_and_or(&forth->flags, L4_FORWARD_ANSWERED);
        return;
    }
    if (is_one_way(flow)) {
        if (!tcp ? flow->packets > 1 : (packet->flags & (TCP_SYN | TCP_ACK)) == TCP_ACK)
            prove(&packet->key, flow);
    } else if (flow->flags & L4_FORWARD_ANSWERED &&
               (!tcp || (packet->flags & TCP_ACK &&
                         packet->acknowledged - flow->proof < ACKNOWLEDGED_MAX))) {
        prove(&packet->key, flow);
    }
}

/* ---- end ------------------------------------------------------------------------------------- */

/* A FIN or a reset. A flow is closed when both directions have ended. */
HERE void look_at_end(const struct packet *packet, struct l4_forward_flow *flow)
{
    struct l4_forward_key twin;
    bool is_young;
    const bool reset = packet->flags & TCP_RST;
    if (reset)
        __sync_fetch_and_or(&flow->flags, L4_FORWARD_RESET);
    if (is_one_way(flow)) {
        __sync_fetch_and_or(&flow->flags, L4_FORWARD_FIN | L4_FORWARD_CLOSED);
        return;
    }
    key_of_twin(&packet->key, flow, &twin);
    struct l4_forward_flow *other = find(&twin, &is_young);
    const bool first = !other || !(other->flags & L4_FORWARD_FIN);
    __sync_fetch_and_or(&flow->flags, first ? L4_FORWARD_FIN | L4_FORWARD_FIRST : L4_FORWARD_FIN);
    if (other && (reset || other->flags & L4_FORWARD_FIN)) {
        __sync_fetch_and_or(&flow->flags, L4_FORWARD_CLOSED);
        __sync_fetch_and_or(&other->flags, L4_FORWARD_CLOSED);
    }
}

/* Takes out a closed flow, as its ports are used again, and tells of it. */
static __noinline int end_closed(const struct l4_forward_key *key,
                                 const struct l4_forward_flow *flow)
{
    struct l4_forward_key twin;
    bool is_young;
    if (!key || !flow)
        return 0;
    key_of_twin(key, flow, &twin);
    const struct l4_forward_flow *other = find(&twin, &is_young);
    struct l4_forward_event *event = bpf_ringbuf_reserve(&events, sizeof *event, 0);
    if (event) {
        event->key = *key;
        event->ways[0] = *flow;
        if (other)
            event->ways[1] = *other;
        else
            __builtin_memset(&event->ways[1], 0, sizeof event->ways[1]);
        bpf_ringbuf_submit(event, 0);
    }
    bpf_map_delete_elem(&flows, &twin);
    bpf_map_delete_elem(&young, &twin);
    bpf_map_delete_elem(&flows, key);
    bpf_map_delete_elem(&young, key);
    return 1;
}

/* ---- begin ----------------------------------------------------------------------------------- */

/* Is the packet for this host? A packet to a port of a listener on any address may be one that this
 * host only forwards. */
HERE bool ends_here(struct __sk_buff *skb, const struct packet *packet)
{
    struct bpf_fib_lookup way = {.l4_protocol = packet->key.protocol, .ifindex = skb->ifindex};
    if (is_ipv4(packet)) {
        way.family = 2; /* AF_INET */
        __builtin_memcpy(&way.ipv4_src, packet->key.from, 4);
        __builtin_memcpy(&way.ipv4_dst, packet->key.to, 4);
    } else {
        way.family = 10; /* AF_INET6 */
        __builtin_memcpy(way.ipv6_src, packet->key.from, 16);
        __builtin_memcpy(way.ipv6_dst, packet->key.to, 16);
    }
    const long found = bpf_fib_lookup(skb, &way, sizeof way, 0);
    return found == BPF_FIB_LKUP_RET_NOT_FWDED || found == BPF_FIB_LKUP_RET_FWD_DISABLED;
}

HERE const struct l4_forward_place *find_place(struct __sk_buff *skb, const struct packet *packet)
{
    struct l4_forward_service key = {.port = packet->key.to_port,
                                     .protocol = packet->key.protocol,
                                     .family = packet->key.family};
    __builtin_memcpy(key.address, packet->key.to, sizeof key.address);
    const struct l4_forward_place *place = bpf_map_lookup_elem(&services, &key);
    if (!place) {
        __builtin_memset(key.address, 0, sizeof key.address);
        place = bpf_map_lookup_elem(&services, &key);
        if (place && !ends_here(skb, packet))
            return NULL;
    }
    return place && (!place->interface || place->interface == skb->ifindex) ? place : NULL;
}

/* The pool of a new client: the listener's, or that of its first route that fits. */
HERE uint32_t find_pool(const struct __sk_buff *skb, const struct packet *packet,
                        const struct l4_forward_place *place)
{
    const struct l4_forward_route *route, *by_mac;
    struct l4_forward_mac mac = {.set = place->routes};
    if (!place->routes)
        return place->pool;
    if (is_ipv4(packet)) {
        struct l4_forward_network4 key = {.bits = 64, .set = place->routes};
        __builtin_memcpy(key.address, packet->key.from, sizeof key.address);
        route = bpf_map_lookup_elem(&routes4, &key);
    } else {
        struct l4_forward_network6 key = {.bits = 160, .set = place->routes};
        __builtin_memcpy(key.address, packet->key.from, sizeof key.address);
        route = bpf_map_lookup_elem(&routes6, &key);
    }
    load(skb, offsetof(struct ethernet, from), mac.address, sizeof mac.address);
    by_mac = bpf_map_lookup_elem(&routes_mac, &mac);
    if (by_mac && (!route || by_mac->order < route->order))
        return by_mac->pool;
    return route ? route->pool : place->pool;
}

HERE uint16_t some_port(const struct l4_forward_settings *set)
{
    enum { FIRST_PORT = 1024 };
    const uint32_t own = set->high - set->low + 1, all = 65536 - FIRST_PORT - own;
    uint32_t port = FIRST_PORT + l4_hash_below((uint64_t)bpf_get_prandom_u32() << 32, all);
    if (port >= set->low)
        port += own;
    return bpf_htons((uint16_t)port);
}

/* The address that a pool's backends see. */
HERE bool set_source(const struct l4_forward_pool *pool, const struct l4_forward_backend *backend,
                     const struct packet *packet, uint8_t to[16])
{
    const uint32_t count = is_ipv4(packet) ? pool->sources4 : pool->sources6;
    const uint32_t at = is_ipv4(packet) ? pool->sources4_at : pool->sources6_at;
    if (!count) {
        __builtin_memcpy(to, backend->source, 16);
        return backend->has_source;
    }
    const uint32_t key = at + l4_hash_below((uint64_t)bpf_get_prandom_u32() << 32, count);
    const struct l4_forward_source *source = bpf_map_lookup_elem(&sources, &key);
    if (source)
        __builtin_memcpy(to, source->address, 16);
    return source;
}

struct attempt {
    const struct packet *packet;
    struct made *made;
    const struct l4_forward_settings *set;
    bool done;
};

/* Puts in the backend's entry. With NAT each attempt is another port. */
static long try_back(uint32_t i, struct attempt *attempt)
{
    (void)i;
    struct l4_forward_key twin;
    struct l4_forward_flow *forth = &attempt->made->ways[0];
    if (forth->mode == L4_FORWARD_NAT)
        forth->from_port = some_port(attempt->set);
    key_of_twin(&attempt->packet->key, forth, &twin);
    attempt->done = !bpf_map_lookup_elem(&flows, &twin) &&
                    !bpf_map_update_elem(&young, &twin, &attempt->made->ways[1], NOEXIST);
    return attempt->done;
}

HERE bool put_back(const struct packet *packet, struct made *made,
                   const struct l4_forward_settings *set)
{
    struct attempt attempt = {packet, made, set, false};
    const bool nat = made->ways[0].mode == L4_FORWARD_NAT;
    bpf_loop(nat ? L4_FORWARD_PORT_TRIES : 1, try_back, &attempt, 0);
    return attempt.done;
}

HERE void describe(const struct packet *packet, const struct l4_forward_place *place,
                   const struct l4_forward_pool *pool, const struct l4_forward_backend *backend,
                   struct made *made)
{
    struct l4_forward_flow *forth = &made->ways[0], *back = &made->ways[1];
    forth->mode = back->mode = pool->mode;
    forth->listener = back->listener = place->listener;
    forth->began_ns = back->began_ns = forth->seen_ns = back->seen_ns = bpf_ktime_get_coarse_ns();
    back->flags = L4_FORWARD_REPLY;
    __builtin_memcpy(forth->to, backend->address, 16);
    forth->to_port = backend->port;
    __builtin_memcpy(forth->from, packet->key.from, 16);
    forth->from_port = packet->key.from_port;
    __builtin_memcpy(back->from, packet->key.to, 16);
    back->from_port = packet->key.to_port;
    __builtin_memcpy(back->to, packet->key.from, 16);
    back->to_port = packet->key.from_port;
}

/* Begins a flow for the packet of a new client. Returns its entry; NULL: this host's own sockets
 * have the packet, so a worker serves the client. */
static __noinline int begin(struct __sk_buff *skb, const struct packet *packet)
{
    const uint32_t zero = 0;
    if (!packet)
        return 0;
    const struct l4_forward_place *place = find_place(skb, packet);
    const struct l4_forward_settings *set = bpf_map_lookup_elem(&settings, &zero);
    struct made *made = bpf_map_lookup_elem(&making, &zero);
    if (!place || !set || set->stopping || !made)
        return 0;
    const uint32_t pool_id = find_pool(skb, packet, place);
    const struct l4_forward_pool *pool = bpf_map_lookup_elem(&pools, &pool_id);
    if (!pool)
        return 0;
    const uint32_t id = choose(pool_id, hash_client(skb, pool, packet));
    const struct l4_forward_backend *backend =
        id == NONE ? NULL : bpf_map_lookup_elem(&backends, &id);
    if (!backend || backend->family != packet->key.family) {
        count_drop(L4_FORWARD_NO_BACKEND);
        return 0;
    }
    __builtin_memset(made, 0, sizeof *made);
    describe(packet, place, pool, backend, made);
    made->ways[0].backend = made->ways[1].backend = id;
    made->ways[0].pool = made->ways[1].pool = pool_id;
    if (pool->mode == L4_FORWARD_NAT && !set_source(pool, backend, packet, made->ways[0].from)) {
        count_drop(L4_FORWARD_NO_PORT);
        return 0;
    }
    if (!is_one_way(&made->ways[0]) && !put_back(packet, made, set)) {
        count_drop(L4_FORWARD_NO_PORT);
        return 0;
    }
    const long error = bpf_map_update_elem(&young, &packet->key, &made->ways[0], NOEXIST);
    if (error && !is_one_way(&made->ways[0])) { /* another processor was faster, or no memory */
        struct l4_forward_key twin;
        key_of_twin(&packet->key, &made->ways[0], &twin);
        bpf_map_delete_elem(&young, &twin);
    }
    if (error)
        return error == EXISTS;
    struct l4_forward_total *total = total_of(&made->ways[0]);
    if (total)
        total->opened++;
    const uint32_t listener = L4_FORWARD_BACKENDS_MAX + place->listener;
    total = bpf_map_lookup_elem(&totals, &listener);
    if (total)
        total->opened++;
    return 1;
}

#endif
