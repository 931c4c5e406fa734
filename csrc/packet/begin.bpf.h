/* Flows that begin: whose a packet is, its backend, the port towards the backend, and the entries.
 *
 * The flow is made in a map (`making`) by one step after the other.
 *
 * why: long for a header: a program of the kernel is one object, and links nothing.
 */
#ifndef L4_PACKET_BEGIN_BPF_H
#define L4_PACKET_BEGIN_BPF_H

#include "packet/choose.bpf.h"
#include "packet/flow.bpf.h"

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

/* A local port towards the backend, none of the host's own; 0: there is none.
 *
 * The ports are taken in turn. why: a backend that has closed a connection keeps its addresses and
 * ports for a minute (TIME_WAIT), and then may not take a SYN of another client from there. Ports
 * by chance would come back much sooner. After some attempts chance decides nevertheless: ports in
 * turn may be taken by flows that began together and last. */
HERE uint16_t some_port(const struct l4_forward_settings *set, uint32_t backend, uint32_t attempt)
{
    enum { FIRST_PORT = 1024, PORTS = 65536, IN_TURN = 16 };
    const uint32_t low = set->low > FIRST_PORT ? set->low : FIRST_PORT;
    const uint32_t high = set->high >= low ? set->high : low - 1;
    const uint32_t below = low - FIRST_PORT, all = below + PORTS - 1 - high;
    uint32_t *next = bpf_map_lookup_elem(&next_ports, &backend);
    if (!all || !next)
        return 0;
    uint32_t turn = bpf_get_prandom_u32();
    if (!*next)
        __sync_val_compare_and_swap(next, 0, turn | 1); /* where it starts, nobody is to know */
    if (attempt < IN_TURN)
        turn = __sync_fetch_and_add(next, 1);
    turn %= all;
    return bpf_htons((uint16_t)(turn < below ? FIRST_PORT + turn : high + 1 + turn - below));
}

/* The address that a pool's backends see. */
HERE bool set_source(const struct l4_forward_pool *pool, const struct l4_forward_backend *backend,
                     const struct packet *packet, uint8_t to[16])
{
    /* why volatile: a read from an address that depends on the family is refused to a process
     * without CAP_PERFMON. */
    const volatile struct l4_forward_pool *all = pool;
    const uint32_t count4 = all->sources4, count6 = all->sources6;
    const uint32_t at4 = all->sources4_at, at6 = all->sources6_at;
    const uint32_t count = is_ipv4(packet) ? count4 : count6, at = is_ipv4(packet) ? at4 : at6;
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
    uint32_t done;
};

/* Puts in the backend's entry. With NAT each attempt is another port. why it looks all up: the
 * verifier refuses pointers on the stack of a loop to a process without CAP_PERFMON. */
static long try_back(uint32_t i, struct attempt *attempt)
{
    const uint32_t zero = 0;
    const struct l4_forward_settings *set = bpf_map_lookup_elem(&settings, &zero);
    const struct reading *read = read_now();
    struct made *made = bpf_map_lookup_elem(&making, &zero);
    struct l4_forward_key twin;
    if (!set || !read || !made)
        return 1;
    struct l4_forward_flow *forth = &made->ways[0];
    if (forth->mode == L4_FORWARD_NAT) {
        forth->from_port = some_port(set, forth->backend, i);
        if (!forth->from_port)
            return 1;
    }
    key_of_twin(&read->packet.key, forth, &twin);
    if (bpf_map_update_elem(&young, &twin, &made->ways[1], NOEXIST))
        return 0;
    /* why after: another processor may just move a flow from there to here. */
    if (bpf_map_lookup_elem(&flows, &twin)) {
        bpf_map_delete_elem(&young, &twin);
        return 0;
    }
    attempt->done = 1;
    return 1;
}

HERE bool put_back(const struct made *made)
{
    struct attempt attempt = {0};
    const bool nat = made->ways[0].mode == L4_FORWARD_NAT;
    bpf_loop(nat ? L4_FORWARD_PORT_TRIES : 1, try_back, &attempt, 0);
    return attempt.done;
}

/* Finds the listener and the pool of a new client, for the flow that is made. Returns 0: the packet
 * is for no service. */
APART(int, look_up, struct __sk_buff *skb)
{
    const uint32_t zero = 0;
    const struct reading *read = read_now();
    const struct l4_forward_settings *set = bpf_map_lookup_elem(&settings, &zero);
    if (!read || !set)
        return 0;
    const struct l4_forward_place *place = find_place(skb, &read->packet);
    struct made *made = bpf_map_lookup_elem(&making, &zero);
    if (!place || !made)
        return 0;
    __builtin_memset(made, 0, sizeof *made);
    made->ways[0].listener = place->listener;
    made->ways[0].pool = find_pool(skb, &read->packet, place);
    return 1;
}

/* Chooses the backend of the flow that is made. */
APART(int, decide, struct __sk_buff *skb)
{
    const uint32_t zero = 0;
    const struct reading *read = read_now();
    struct made *made = bpf_map_lookup_elem(&making, &zero);
    if (!read || !made)
        return 0;
    const uint32_t pool_id = made->ways[0].pool;
    const struct l4_forward_pool *pool = bpf_map_lookup_elem(&pools, &pool_id);
    if (!pool)
        return 0;
    made->ways[0].mode = pool->mode;
    made->ways[0].backend = choose(pool_id, hash_client(skb, pool, &read->packet));
    return 1;
}

HERE void describe(const struct packet *packet, const struct l4_forward_backend *backend,
                   struct made *made)
{
    struct l4_forward_flow *forth = &made->ways[0], *back = &made->ways[1];
    forth->began_ns = forth->seen_ns = bpf_ktime_get_coarse_ns();
    __builtin_memcpy(back, forth, sizeof *back);
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

/* Gives the flow that is made its other side. Returns 0: there is none. */
APART(int, set_ends, void)
{
    const uint32_t zero = 0;
    const struct reading *read = read_now();
    struct made *made = bpf_map_lookup_elem(&making, &zero);
    if (!read || !made)
        return 0;
    const uint32_t id = made->ways[0].backend, pool_id = made->ways[0].pool;
    const struct l4_forward_backend *backend =
        id == NONE ? NULL : bpf_map_lookup_elem(&backends, &id);
    const struct l4_forward_pool *pool = bpf_map_lookup_elem(&pools, &pool_id);
    if (!pool || !backend || backend->family != read->packet.key.family) {
        count_drop(L4_FORWARD_NO_BACKEND);
        return 0;
    }
    describe(&read->packet, backend, made);
    if (made->ways[0].mode == L4_FORWARD_NAT &&
        !set_source(pool, backend, &read->packet, made->ways[0].from)) {
        count_drop(L4_FORWARD_NO_PORT);
        return 0;
    }
    return 1;
}

HERE void count_opened(const struct l4_forward_flow *flow)
{
    const uint32_t listener = L4_FORWARD_BACKENDS_MAX + flow->listener;
    struct l4_forward_total *total = total_of(flow);
    if (total)
        total->opened++;
    total = bpf_map_lookup_elem(&totals, &listener);
    if (total)
        total->opened++;
}

/* Puts the flow that is made in. */
APART(int, put_in, void)
{
    const uint32_t zero = 0;
    const struct reading *read = read_now();
    const struct made *made = bpf_map_lookup_elem(&making, &zero);
    if (!read || !made)
        return 0;
    const bool one_way = is_one_way(&made->ways[0]);
    if (!one_way && !put_back(made)) {
        count_drop(L4_FORWARD_NO_PORT);
        return 0;
    }
    const long error = bpf_map_update_elem(&young, &read->packet.key, &made->ways[0], NOEXIST);
    if (!error) {
        count_opened(&made->ways[0]);
        return 1;
    }
    if (!one_way) { /* another processor was faster, or there is no memory */
        struct l4_forward_key twin;
        key_of_twin(&read->packet.key, &made->ways[0], &twin);
        bpf_map_delete_elem(&young, &twin);
    }
    if (error != EXISTS)
        count_drop(L4_FORWARD_NO_ROOM);
    return error == EXISTS;
}

/* Begins a flow for the packet of a new client. Returns false if it does not: this host's own
 * sockets have the packet, so a worker serves the client. */
HERE bool begin(struct __sk_buff *skb)
{
    return look_up(skb) && decide(skb) && set_ends() && put_in();
}

#endif
