/* Flows: found, proven and ended.
 *
 * A flow is two entries, one for each direction. It is young until its client is proven: has
 * acknowledged what the backend's SYN-ACK said, or has sent a datagram after an answer. Young ones
 * are in a table that drops the oldest, so a flood of made-up sources drops its own; proven ones
 * are in one that drops nothing.
 *
 * why: long for a header: a program of the kernel is one object, and links nothing.
 */
#ifndef L4_PACKET_FLOW_BPF_H
#define L4_PACKET_FLOW_BPF_H

#include "packet/maps.bpf.h"

enum { NOEXIST = BPF_NOEXIST, EXISTS = -17 };

/* Bytes, of TCP. */
enum {
    PROOF_MAX = 1 << 16,        /* a client's first acknowledgement may cover so many already */
    ACKNOWLEDGED_MAX = 1 << 26, /* one acknowledgement */
    IN_FLIGHT_MAX = 1 << 22,    /* what a peer has sent and not seen acknowledged yet */
};

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

HERE bool is_one_way(const struct l4_forward_flow *flow)
{
    return flow->mode == L4_FORWARD_MAC || flow->mode == L4_FORWARD_IPIP;
}

/* The entry of the other direction, and its key. NULL: it is missing, or its key is another flow's
 * by now. */
HERE struct l4_forward_flow *find_twin(const struct l4_forward_key *key,
                                       const struct l4_forward_flow *flow,
                                       struct l4_forward_key *twin)
{
    bool is_young, same = true;
    if (is_one_way(flow))
        return NULL;
    key_of_twin(key, flow, twin);
    struct l4_forward_flow *other = find(twin, &is_young);
    if (!other)
        return NULL;
    for (int i = 0; i < 16; i++)
        same &= other->to[i] == key->from[i];
    return same && other->to_port == key->from_port ? other : NULL;
}

HERE struct l4_forward_total *total_of(const struct l4_forward_flow *flow)
{
    const uint32_t key = flow->backend;
    return bpf_map_lookup_elem(&totals, &key);
}

/* ---- proof ----------------------------------------------------------------------------------- */

/* Moves a flow to the table that drops nothing. */
APART(int, prove, void)
{
    const struct reading *read = read_now();
    if (!read)
        return 0;
    struct l4_forward_key twin;
    const struct l4_forward_key *key = &read->packet.key;
    const struct l4_forward_flow *flow = bpf_map_lookup_elem(&young, key);
    if (!flow)
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

/* A backend has answered: its client's entry learns what proves the client. Of a proven flow only
 * where the connection may have ended, and another one begins in its place. */
HERE void look_at_answer(const struct packet *packet, struct l4_forward_flow *flow, bool is_young)
{
    const uint32_t ended = L4_FORWARD_FIN | L4_FORWARD_FIRST | L4_FORWARD_RESET;
    struct l4_forward_key twin;
    const bool tcp = packet->key.protocol == IPPROTO_TCP;
    if (tcp && (packet->flags & (TCP_SYN | TCP_ACK)) != (TCP_SYN | TCP_ACK))
        return;
    struct l4_forward_flow *forth = find_twin(&packet->key, flow, &twin);
    if (!forth || !(is_young || (forth->flags | flow->flags) & ended))
        return;
    forth->proof = packet->number + 1;
    flow->proof = packet->acknowledged;
    __sync_fetch_and_and(&forth->flags, ~ended);
    __sync_fetch_and_and(&flow->flags, ~ended);
    __sync_fetch_and_or(&forth->flags, L4_FORWARD_ANSWERED);
}

/* A client's packet of a young flow: is the client proven? */
HERE bool is_proof(const struct packet *packet, const struct l4_forward_flow *flow)
{
    const bool tcp = packet->key.protocol == IPPROTO_TCP;
    if (is_one_way(flow)) /* the answer has not been seen */
        return tcp ? (packet->flags & (TCP_SYN | TCP_ACK)) == TCP_ACK : flow->packets > 1;
    if (!(flow->flags & L4_FORWARD_ANSWERED))
        return false;
    return !tcp || (packet->flags & TCP_ACK && packet->acknowledged - flow->proof < PROOF_MAX);
}

/* A packet that was forwarded. Follows what its sender acknowledges: that says which number the
 * other side's reset and FIN must have. why only forward, and not far: numbers that a stranger
 * makes up are hardly ever taken. */
HERE void follow(const struct packet *packet, struct l4_forward_flow *flow, bool is_young)
{
    const bool reply = flow->flags & L4_FORWARD_REPLY;
    if (reply && (is_young || packet->flags & TCP_SYN))
        look_at_answer(packet, flow, is_young);
    const bool proven = is_young && !reply && is_proof(packet, flow);
    const bool learns = proven && is_one_way(flow); /* there is nothing to compare with yet */
    if (packet->flags & TCP_ACK && (!is_young || reply || proven) &&
        (learns || packet->acknowledged - flow->proof < ACKNOWLEDGED_MAX))
        flow->proof = packet->acknowledged;
    if (flow->flags & L4_FORWARD_RESET && !(packet->flags & TCP_RST))
        __sync_fetch_and_and(&flow->flags, ~(uint32_t)L4_FORWARD_RESET);
    if (proven)
        prove();
}

/* ---- end ------------------------------------------------------------------------------------- */

HERE bool is_near(uint32_t number, uint32_t expected)
{
    return number - expected + IN_FLIGHT_MAX < 2u * IN_FLIGHT_MAX;
}

/* What a reset means: that the flow is closed, or (RESET alone) that it may be. Its number must be
 * the one that the other side expects next (RFC 5961), or near it while data may be on their way. A
 * stranger does not know the number, and the next packet of the real sender takes RESET back. */
HERE uint32_t judge_reset(const struct packet *packet, const struct l4_forward_flow *flow,
                          const struct l4_forward_flow *other)
{
    const uint64_t on_their_way_ns = 4000000000;
    if (!other)
        return is_one_way(flow) ? L4_FORWARD_RESET : 0;
    /* A SYN is refused: the number is 0. */
    if (flow->flags & L4_FORWARD_REPLY && !(other->flags & L4_FORWARD_ANSWERED))
        return L4_FORWARD_RESET | L4_FORWARD_CLOSED;
    if (packet->number == other->proof)
        return L4_FORWARD_RESET | L4_FORWARD_CLOSED;
    const bool idle = bpf_ktime_get_coarse_ns() - flow->seen_ns > on_their_way_ns;
    if (idle || !is_near(packet->number, other->proof))
        return 0;
    /* Both numbers are near: nobody guesses that. Sockets reset so with data on their way. */
    if (packet->flags & TCP_ACK && is_near(packet->acknowledged, flow->proof))
        return L4_FORWARD_RESET | L4_FORWARD_CLOSED;
    return L4_FORWARD_RESET;
}

/* What a FIN means. A flow is closed when both directions have ended. */
HERE uint32_t judge_fin(const struct packet *packet, const struct l4_forward_flow *flow,
                        const struct l4_forward_flow *other)
{
    if (!is_near(packet->acknowledged, flow->proof))
        return 0;
    if (!other)
        return is_one_way(flow) ? L4_FORWARD_FIN | L4_FORWARD_FIRST | L4_FORWARD_CLOSED : 0;
    if (!is_near(packet->number, other->proof))
        return 0;
    if (other->flags & L4_FORWARD_FIN)
        return L4_FORWARD_FIN | L4_FORWARD_CLOSED;
    return L4_FORWARD_FIN | L4_FORWARD_FIRST;
}

/* Returns the flags that a FIN or a reset sets, once it has been forwarded. */
APART(uint32_t, judge_end, void)
{
    struct l4_forward_key twin;
    bool is_young;
    const struct reading *read = read_now();
    if (!read)
        return 0;
    const struct packet *packet = &read->packet;
    const struct l4_forward_flow *flow = find(&packet->key, &is_young);
    if (!flow)
        return 0;
    const struct l4_forward_flow *other = find_twin(&packet->key, flow, &twin);
    return packet->flags & TCP_RST ? judge_reset(packet, flow, other)
                                   : judge_fin(packet, flow, other);
}

APART(int, end, uint32_t flags)
{
    struct l4_forward_key twin;
    bool is_young;
    const struct reading *read = read_now();
    if (!read)
        return 0;
    const struct packet *packet = &read->packet;
    struct l4_forward_flow *flow = find(&packet->key, &is_young);
    if (!flow)
        return 0;
    struct l4_forward_flow *other = find_twin(&packet->key, flow, &twin);
    __sync_fetch_and_or(&flow->flags, flags);
    if (other && flags & L4_FORWARD_CLOSED)
        __sync_fetch_and_or(&other->flags, L4_FORWARD_CLOSED);
    return 0;
}

/* Takes out a closed flow, as its ports are used again, and tells of it. */
APART(int, end_closed, void)
{
    struct l4_forward_key twin;
    bool is_young;
    const struct reading *read = read_now();
    if (!read)
        return 0;
    const struct l4_forward_key *key = &read->packet.key;
    const struct l4_forward_flow *flow = find(key, &is_young);
    if (!flow)
        return 0;
    const struct l4_forward_flow *other = find_twin(key, flow, &twin);
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
    if (other) {
        bpf_map_delete_elem(&flows, &twin);
        bpf_map_delete_elem(&young, &twin);
    }
    bpf_map_delete_elem(&flows, key);
    bpf_map_delete_elem(&young, key);
    return 1;
}

#endif
