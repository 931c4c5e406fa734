// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Forwards packets in the kernel: listeners with data_path = "packet", and the UDP sessions that
 * workers hand over (docs/packet.md).
 *
 * The program runs for each packet that comes in at an interface (tc ingress). A packet of a flow
 * gets the addresses of its other side and leaves by the interface that the host's routes say. A
 * SYN or a datagram of a new client to a service begins a flow. All else passes to the host's own
 * sockets. That is why a listener can change its way while it serves: what a worker has begun stays
 * with the worker, and what was begun here stays here.
 *
 * This file has a licence of its own, because the kernel lends some of its functions only to
 * programs under the GPL.
 */
#include "packet/begin.bpf.h"
#include "packet/icmp.bpf.h"

/* ---- leaving --------------------------------------------------------------------------------- */

/* The header that is put in front. */
HERE uint32_t outer_bytes(const struct packet *packet, const struct l4_forward_flow *flow)
{
    if (flow->mode != L4_FORWARD_IPIP)
        return 0;
    return is_ipv4(packet) ? sizeof(struct ipv4) : sizeof(struct ipv6);
}

/* Looks up the way to the flow's other side. Returns BPF_FIB_LKUP_RET_*. */
HERE long find_way(struct __sk_buff *skb, const struct packet *packet,
                   const struct l4_forward_flow *flow, struct bpf_fib_lookup *way)
{
    const bool direct = is_one_way(flow);
    const uint32_t headers = packet->at - IP_AT + packet->head;
    const uint32_t outer = outer_bytes(packet, flow);
    way->l4_protocol = packet->key.protocol;
    way->ifindex = skb->ifindex;
    const uint32_t whole = outer + (skb->gso_size ? headers + skb->gso_size : packet->bytes);
    way->tot_len = whole < UINT16_MAX ? (uint16_t)whole : UINT16_MAX;
    if (is_ipv4(packet)) {
        way->family = 2; /* AF_INET */
        __builtin_memcpy(&way->ipv4_src, direct ? packet->key.from : flow->from, 4);
        __builtin_memcpy(&way->ipv4_dst, flow->to, 4);
    } else {
        way->family = 10; /* AF_INET6 */
        __builtin_memcpy(way->ipv6_src, direct ? packet->key.from : flow->from, 16);
        __builtin_memcpy(way->ipv6_dst, flow->to, 16);
    }
    return bpf_fib_lookup(skb, way, sizeof *way, 0);
}

/* Sends the packet on its way. found: of find_way. by_kernel: the kernel writes the Ethernet
 * header; only so it sees that the neighbour is in use, and asks now and then whether the
 * neighbour's address is still right. */
HERE int leave(struct __sk_buff *skb, const struct bpf_fib_lookup *way, long found, bool by_kernel)
{
    if (found == BPF_FIB_LKUP_RET_NO_NEIGH || by_kernel) {
        struct bpf_redir_neigh next = {.nh_family = way->family};
        if (way->family == 2)
            next.ipv4_nh = way->ipv4_dst;
        else
            __builtin_memcpy(next.ipv6_nh, way->ipv6_dst, 16);
        return (int)bpf_redirect_neigh(way->ifindex, &next, sizeof next, 0);
    }
    uint8_t ends[12];
    __builtin_memcpy(ends, way->dmac, 6);
    __builtin_memcpy(ends + 6, way->smac, 6);
    bpf_skb_store_bytes(skb, 0, ends, sizeof ends, 0);
    return (int)bpf_redirect(way->ifindex, 0);
}

/* Puts the packet into another one to the backend. */
static __noinline int wrap(struct __sk_buff *skb, const struct packet *packet,
                           const struct l4_forward_flow *flow,
                           const struct l4_forward_backend *backend)
{
    if (is_ipv4(packet)) {
        struct ipv4 outer = {.version_and_words = 0x45, .ttl = 64, .protocol = IPPROTO_IPIP};
        outer.bytes = bpf_htons((uint16_t)(sizeof outer + packet->bytes));
        outer.fragment = bpf_htons(IPV4_WHOLE);
        __builtin_memcpy(outer.from, backend->source, 4);
        __builtin_memcpy(outer.to, flow->to, 4);
        outer.sum = folded((uint32_t)bpf_csum_diff(NULL, 0, (__be32 *)&outer, sizeof outer, 0));
        if (bpf_skb_adjust_room(skb, sizeof outer, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_ENCAP_L3_IPV4))
            return -1;
        return (int)bpf_skb_store_bytes(skb, IP_AT, &outer, sizeof outer, 0);
    }
    struct ipv6 outer = {.version = 0x60, .next = IPPROTO_IPV6, .hops = 64};
    outer.bytes = bpf_htons((uint16_t)packet->bytes);
    __builtin_memcpy(outer.from, backend->source, 16);
    __builtin_memcpy(outer.to, flow->to, 16);
    if (bpf_skb_adjust_room(skb, sizeof outer, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_ENCAP_L3_IPV6))
        return -1;
    return (int)bpf_skb_store_bytes(skb, IP_AT, &outer, sizeof outer, 0);
}

HERE int change(struct __sk_buff *skb, const struct packet *packet,
                const struct l4_forward_flow *flow)
{
    if (flow->mode == L4_FORWARD_MAC)
        return 0;
    if (flow->mode != L4_FORWARD_IPIP)
        return rewrite(skb, packet, flow);
    const uint32_t id = flow->backend;
    const struct l4_forward_backend *backend = bpf_map_lookup_elem(&backends, &id);
    return backend && backend->has_source ? wrap(skb, packet, flow, backend) : -1;
}

/* ---- packets of flows ------------------------------------------------------------------------ */

/* Returns whether the flow has not had a packet for a while, or has had many. */
HERE bool count(const struct __sk_buff *skb, const struct packet *packet,
                struct l4_forward_flow *flow)
{
    enum { A_WHILE_NS = 1000000000, MANY = 128 };
    const uint32_t packets = skb->gso_segs > 1 ? skb->gso_segs : 1;
    /* why: packets that come as one have one header here, and each its own on the wire. */
    const uint32_t headers = packet->at - IP_AT + packet->head;
    const uint64_t bytes = packet->bytes + (uint64_t)(packets - 1) * headers;
    const uint64_t now = bpf_ktime_get_coarse_ns(), before = flow->seen_ns;
    const bool is_time = now - before > A_WHILE_NS || flow->packets % MANY == 0;
    flow->seen_ns = now;
    __sync_fetch_and_add(&flow->packets, packets);
    __sync_fetch_and_add(&flow->bytes, bytes);
    struct l4_forward_total *total = flow->mode == L4_FORWARD_UDP ? NULL : total_of(flow);
    if (!total)
        return is_time;
    /* why all four: a place that depends on a flag is an address that the verifier refuses to a
     * process without CAP_PERFMON. */
    const bool reply = flow->flags & L4_FORWARD_REPLY;
    total->packets[0] += reply ? 0 : packets;
    total->packets[1] += reply ? packets : 0;
    total->bytes[0] += reply ? 0 : bytes;
    total->bytes[1] += reply ? bytes : 0;
    return is_time;
}

/* Limits the segments of a new connection to what its ways take. */
HERE void limit_segments(struct __sk_buff *skb, const struct packet *packet,
                         struct l4_forward_flow *flow, uint32_t mtu)
{
    const uint32_t headers = packet->at - IP_AT + sizeof(struct tcp) + outer_bytes(packet, flow);
    uint32_t mss = mtu > headers ? mtu - headers : 0;
    if (!is_one_way(flow) && !(flow->flags & L4_FORWARD_REPLY)) {
        struct l4_forward_key twin;
        struct l4_forward_flow *back = find_twin(&packet->key, flow, &twin);
        if (back)
            back->mss = mss;
    } else if (flow->mss && flow->mss < mss) {
        mss = flow->mss;
    }
    if (mss)
        clamp_mss(skb, packet->at, packet->head, mss);
}

static __noinline int forward(struct __sk_buff *skb, const struct packet *packet,
                              struct l4_forward_flow *flow)
{
    struct bpf_fib_lookup way = {};
    const bool direct = is_one_way(flow);
    /* why not a worker's: its socket has the packet too, and sends what this program cannot. It
     * also asks for neighbours, and is told of those that do not answer. */
    const bool of_worker = flow->mode == L4_FORWARD_UDP;
    if (packet->ttl <= 1 && !direct)
        return of_worker ? PASS : answer_expired(skb, packet);
    const long found = find_way(skb, packet, flow, &way);
    if (of_worker && found != BPF_FIB_LKUP_RET_SUCCESS)
        return PASS;
    if (found == BPF_FIB_LKUP_RET_FRAG_NEEDED)
        return answer_too_big(skb, packet, way.mtu_result - outer_bytes(packet, flow));
    if (found == BPF_FIB_LKUP_RET_FWD_DISABLED)
        return dropped(L4_FORWARD_NOT_FORWARDED);
    if (found != BPF_FIB_LKUP_RET_SUCCESS && found != BPF_FIB_LKUP_RET_NO_NEIGH)
        return dropped(L4_FORWARD_NO_ROUTE);
    const bool by_kernel = count(skb, packet, flow);
    if (packet->flags & TCP_SYN && found == BPF_FIB_LKUP_RET_SUCCESS)
        limit_segments(skb, packet, flow, way.mtu_result);
    return change(skb, packet, flow) ? dropped(L4_FORWARD_MALFORMED)
                                     : leave(skb, &way, found, by_kernel);
}

/* ---- fragments ------------------------------------------------------------------------------- */

HERE void key_of_fragment(const struct packet *packet, struct l4_forward_fragment *key)
{
    __builtin_memset(key, 0, sizeof *key);
    __builtin_memcpy(key->from, packet->key.from, sizeof key->from);
    __builtin_memcpy(key->to, packet->key.to, sizeof key->to);
    key->id = packet->id;
    key->protocol = packet->key.protocol;
    key->family = packet->key.family;
}

/* Gives a fragment the ports that the first one of its packet had. */
HERE bool remember_ports(struct packet *packet)
{
    struct l4_forward_fragment key;
    key_of_fragment(packet, &key);
    const struct l4_forward_ports *ports = bpf_map_lookup_elem(&fragments, &key);
    if (!ports)
        return false;
    packet->key.from_port = ports->from;
    packet->key.to_port = ports->to;
    return true;
}

HERE void keep_ports(const struct packet *packet)
{
    struct l4_forward_fragment key;
    const struct l4_forward_ports ports = {packet->key.from_port, packet->key.to_port};
    key_of_fragment(packet, &key);
    bpf_map_update_elem(&fragments, &key, &ports, BPF_ANY);
}

/* ---- the program ----------------------------------------------------------------------------- */

/* An ICMP error about a packet of a flow. */
APART(int, pass_error, struct __sk_buff *skb)
{
    struct reading *read = read_now();
    if (!read)
        return PASS;
    const struct packet *packet = &read->packet;
    struct packet *quoted = &read->quoted;
    __builtin_memset(quoted, 0, sizeof *quoted);
    struct bpf_fib_lookup way = {};
    bool is_young;
    if (!read_quoted(skb, packet, quoted))
        return PASS;
    struct l4_forward_flow *flow = find(&quoted->key, &is_young);
    /* why not UDP of a worker: its socket is told, and moves the session. */
    if (!flow || flow->mode == L4_FORWARD_UDP || is_one_way(flow) || packet->ttl <= 1)
        return PASS;
    const long found = find_way(skb, packet, flow, &way);
    if (found != BPF_FIB_LKUP_RET_SUCCESS && found != BPF_FIB_LKUP_RET_NO_NEIGH)
        return dropped(L4_FORWARD_NO_ROUTE);
    if (rewrite_error(skb, packet, quoted, flow))
        return dropped(L4_FORWARD_MALFORMED);
    return leave(skb, &way, found, false);
}

HERE bool begins(const struct packet *packet)
{
    return packet->key.protocol == IPPROTO_UDP ||
           (packet->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
}

/* Is the flow of a first packet none any more? A young one may have lost its other half, to newer
 * ones. */
HERE bool is_over(const struct l4_forward_key *key, const struct l4_forward_flow *flow,
                  bool is_young)
{
    struct l4_forward_key twin;
    if (flow->flags & L4_FORWARD_CLOSED)
        return true;
    return is_young && !is_one_way(flow) && !(flow->flags & L4_FORWARD_REPLY) &&
           !find_twin(key, flow, &twin);
}

SEC("tc")
int l4lb_forward(struct __sk_buff *skb)
{
    struct reading *both = read_now();
    bool is_young;
    if (!both)
        return PASS;
    struct packet *packet = &both->packet;
    __builtin_memset(packet, 0, sizeof *packet);
    const enum content content = read_packet(skb, packet);
    if (content == NOTHING)
        return PASS;
    if (content == ICMP_ERROR)
        return pass_error(skb);
    if (content == TAIL && !remember_ports(packet))
        return PASS;
    struct l4_forward_flow *flow = find(&packet->key, &is_young);
    const bool first = content == SEGMENT && begins(packet);
    if (flow && first && is_over(&packet->key, flow, is_young) && end_closed())
        flow = NULL;
    if (!flow) {
        if (!first || !begin(skb))
            return PASS;
        flow = find(&packet->key, &is_young);
        if (!flow)
            return dropped(L4_FORWARD_NO_ROOM);
    }
    /* why not a worker's: its fragments come in any order, and the host puts them together. */
    if (packet->fragment && flow->mode == L4_FORWARD_UDP)
        return PASS;
    if (content == SEGMENT && packet->fragment)
        keep_ports(packet);
    const uint32_t ends = packet->flags & (TCP_FIN | TCP_RST) ? judge_end() : 0;
    const int answered = forward(skb, packet, flow);
    if (answered != TC_ACT_REDIRECT)
        return answered;
    if (ends)
        end(ends);
    follow(packet, flow, is_young);
    return answered;
}

char l4lb_licence[] SEC("license") = "Dual MIT/GPL";
