/* ICMP errors: those that this host makes for a packet that it cannot forward, and those of others
 * about packets that it has forwarded. RFC 792, RFC 1191, RFC 4443.
 *
 * why: long for a header: a program of the kernel is one object, and links nothing.
 */
#ifndef L4_PACKET_ICMP_BPF_H
#define L4_PACKET_ICMP_BPF_H

#include "packet/rewrite.bpf.h"

/* ---- errors that are made -------------------------------------------------------------------- */

enum { QUOTED = 20 }; /* bytes behind the IP header: a TCP header, so that its checksum is in it */

struct ipv4_error {
    struct ipv4 ip;
    struct icmp icmp;
};

struct ipv6_error {
    struct ipv6 ip;
    struct icmp icmp;
};

struct ipv6_pseudo {
    uint8_t addresses[32];
    uint32_t bytes, next;
};

/* Writes the checksum of the segment that is quoted, here and in the packet, so that the error's
 * own checksum stays right if the interface fills in the segment's: a packet of a neighbour on this
 * machine comes without its checksum, and the kernel remembers that it is to be made. With D the
 * sum of the rest, what is filled in for F is ~(D + F). The sum with it is -F, and without it D +
 * F: equal where F = -D / 2. Nobody checks the checksum of a part of a segment. */
HERE void balance_sum(struct __sk_buff *skb, uint32_t at, uint16_t *segment, bool tcp)
{
    enum { OF_UDP = offsetof(struct udp, sum) / 2, OF_TCP = offsetof(struct tcp, sum) / 2 };
    segment[OF_TCP] = 0; /* behind the header of UDP all is zero */
    segment[OF_UDP] = tcp ? segment[OF_UDP] : 0;
    const uint16_t rest = folded((uint32_t)bpf_csum_diff(NULL, 0, (__be32 *)segment, QUOTED, 0));
    const uint16_t half = (uint16_t)(rest >> 1 | rest << 15);
    segment[OF_TCP] = tcp ? half : 0;
    segment[OF_UDP] = tcp ? segment[OF_UDP] : half;
    bpf_skb_store_bytes(skb, at + 2 * (tcp ? OF_TCP : OF_UDP), &half, sizeof half, 0);
}

/* Turns the packet into an error that goes back to whom it came from. Returns what the program
 * answers. */
HERE int answer(struct __sk_buff *skb, const void *error, uint32_t bytes)
{
    struct ethernet ethernet, back;
    if (!load(skb, 0, &ethernet, sizeof ethernet))
        return DROP;
    __builtin_memcpy(back.to, ethernet.from, sizeof back.to);
    __builtin_memcpy(back.from, ethernet.to, sizeof back.from);
    back.kind = ethernet.kind;
    if (bpf_skb_change_head(skb, bytes, 0) || bpf_skb_store_bytes(skb, 0, &back, sizeof back, 0) ||
        bpf_skb_store_bytes(skb, IP_AT, error, bytes, 0))
        return DROP;
    return (int)bpf_redirect(skb->ifindex, 0);
}

APART(int, answer_ipv4, struct __sk_buff *skb, uint32_t type, uint32_t code, uint32_t mtu)
{
    const struct reading *read = read_now();
    if (!read)
        return DROP;
    const struct packet *packet = &read->packet;
    uint8_t quote[sizeof(struct ipv4) + QUOTED] __attribute__((aligned(8))) = {};
    const bool tcp = packet->key.protocol == IPPROTO_TCP;
    const uint32_t quoted = sizeof(struct ipv4) + (tcp ? QUOTED : sizeof(struct udp));
    if (bpf_skb_change_tail(skb, IP_AT + quoted, 0))
        return DROP;
    if (!(tcp ? load(skb, IP_AT, quote, sizeof(struct ipv4) + QUOTED)
              : load(skb, IP_AT, quote, sizeof(struct ipv4) + sizeof(struct udp))))
        return DROP;
    if (!packet->fragment)
        balance_sum(skb, IP_AT + sizeof(struct ipv4), (uint16_t *)(quote + sizeof(struct ipv4)),
                    tcp);
    struct ipv4_error error = {
        .ip = {.version_and_words = 0x45, .service = 0xc0, .ttl = 64, .protocol = IPPROTO_ICMP},
        .icmp = {.type = (uint8_t)type, .code = (uint8_t)code, .mtu = bpf_htons((uint16_t)mtu)},
    };
    error.ip.bytes = bpf_htons((uint16_t)(sizeof error + quoted));
    __builtin_memcpy(error.ip.from, packet->key.to, 4);
    __builtin_memcpy(error.ip.to, packet->key.from, 4);
    error.ip.sum =
        folded((uint32_t)bpf_csum_diff(NULL, 0, (__be32 *)&error.ip, sizeof error.ip, 0));
    const int64_t sum = bpf_csum_diff(NULL, 0, (__be32 *)&error.icmp, sizeof error.icmp, 0);
    error.icmp.sum =
        folded((uint32_t)bpf_csum_diff(NULL, 0, (__be32 *)quote, sizeof quote, (uint32_t)sum));
    return answer(skb, &error, sizeof error);
}

APART(int, answer_ipv6, struct __sk_buff *skb, uint32_t type, uint32_t code, uint32_t mtu)
{
    const struct reading *read = read_now();
    if (!read)
        return DROP;
    const struct packet *packet = &read->packet;
    uint8_t quote[sizeof(struct ipv6) + QUOTED] __attribute__((aligned(8))) = {};
    const bool tcp = packet->key.protocol == IPPROTO_TCP;
    const uint32_t quoted = sizeof(struct ipv6) + (tcp ? QUOTED : sizeof(struct udp));
    if (bpf_skb_change_tail(skb, IP_AT + quoted, 0))
        return DROP;
    if (!(tcp ? load(skb, IP_AT, quote, sizeof(struct ipv6) + QUOTED)
              : load(skb, IP_AT, quote, sizeof(struct ipv6) + sizeof(struct udp))))
        return DROP;
    if (!packet->fragment)
        balance_sum(skb, IP_AT + sizeof(struct ipv6), (uint16_t *)(quote + sizeof(struct ipv6)),
                    tcp);
    struct ipv6_error error = {
        .ip = {.version = 0x60, .next = ICMPV6, .hops = 64},
        .icmp = {.type = (uint8_t)type, .code = (uint8_t)code, .mtu = bpf_htons((uint16_t)mtu)},
    };
    const uint32_t bytes = sizeof error.icmp + quoted;
    error.ip.bytes = bpf_htons((uint16_t)bytes);
    __builtin_memcpy(error.ip.from, packet->key.to, 16);
    __builtin_memcpy(error.ip.to, packet->key.from, 16);
    struct ipv6_pseudo pseudo = {.bytes = bpf_htonl(bytes), .next = bpf_htonl(ICMPV6)};
    __builtin_memcpy(pseudo.addresses, error.ip.from, 32);
    int64_t sum = bpf_csum_diff(NULL, 0, (__be32 *)&pseudo, sizeof pseudo, 0);
    sum = bpf_csum_diff(NULL, 0, (__be32 *)&error.icmp, sizeof error.icmp, (uint32_t)sum);
    error.icmp.sum =
        folded((uint32_t)bpf_csum_diff(NULL, 0, (__be32 *)quote, sizeof quote, (uint32_t)sum));
    return answer(skb, &error, sizeof error);
}

/* One error more, or are there too many of late? */
HERE bool may_answer(void)
{
    enum { STRETCHES = 1 << 27 }; /* of about an eighth of a second */
    const uint32_t zero = 0;
    const uint64_t now = bpf_ktime_get_coarse_ns() / STRETCHES;
    struct errors *made = bpf_map_lookup_elem(&errors, &zero);
    if (!made)
        return false;
    if (made->stretch != now) {
        made->stretch = now;
        made->count = 0;
    }
    return made->count++ < L4_FORWARD_ERRORS_MAX / 8;
}

/* The packet is longer than its way allows. why also a packet that may be cut into fragments: there
 * is nobody to cut it here, and its sender does so from then on. */
HERE int answer_too_big(struct __sk_buff *skb, const struct packet *packet, uint32_t mtu)
{
    count_drop(L4_FORWARD_TOO_BIG);
    if (!packet->head || !may_answer())
        return DROP;
    return is_ipv4(packet) ? answer_ipv4(skb, 3, 4, mtu) : answer_ipv6(skb, 2, 0, mtu);
}

/* It has passed too many routers. */
HERE int answer_expired(struct __sk_buff *skb, const struct packet *packet)
{
    count_drop(L4_FORWARD_TTL);
    if (!packet->head || !may_answer())
        return DROP;
    return is_ipv4(packet) ? answer_ipv4(skb, 11, 0, 0) : answer_ipv6(skb, 3, 0, 0);
}

/* ---- errors that are passed on --------------------------------------------------------------- */

/* Reads what an error is about, as the packet of the other direction would be: so its key is that
 * of the flow's other entry. */
HERE bool read_quoted(const struct __sk_buff *skb, const struct packet *packet,
                      struct packet *quoted)
{
    const uint32_t at = packet->at + sizeof(struct icmp);
    struct l4_forward_ports ports;
    if (is_ipv4(packet)) {
        struct ipv4 ip;
        if (!load(skb, at, &ip, sizeof ip) || ip.version_and_words != 0x45 ||
            ip.fragment & bpf_htons(IPV4_OFFSET))
            return false;
        __builtin_memcpy(quoted->key.from, ip.to, 4);
        __builtin_memcpy(quoted->key.to, ip.from, 4);
        quoted->key.protocol = ip.protocol;
        quoted->at = at + sizeof ip;
    } else {
        struct ipv6 ip;
        if (!load(skb, at, &ip, sizeof ip))
            return false;
        __builtin_memcpy(quoted->key.from, ip.to, 16);
        __builtin_memcpy(quoted->key.to, ip.from, 16);
        quoted->key.protocol = ip.next;
        quoted->at = at + sizeof ip;
    }
    quoted->key.family = packet->key.family;
    if (quoted->key.protocol != IPPROTO_TCP && quoted->key.protocol != IPPROTO_UDP)
        return false;
    if (!load(skb, quoted->at, &ports, sizeof ports))
        return false;
    quoted->key.from_port = ports.to;
    quoted->key.to_port = ports.from;
    return true;
}

/* Gives an error to whom it is for. flow: the entry of quoted->key. */
static __noinline int rewrite_error(struct __sk_buff *skb, const struct packet *packet,
                                    const struct packet *quoted, const struct l4_forward_flow *flow)
{
    const uint32_t inner = packet->at + sizeof(struct icmp);
    uint16_t old[2] = {quoted->key.to_port, quoted->key.from_port};
    uint16_t new[2] = {flow->to_port, flow->from_port};
    struct ends ends, quote = {};
    /* why: an error of a router has the router's address, one of the peer the peer's. */
    bool of_peer = true;
    for (int i = 0; i < 16; i++)
        of_peer &= packet->key.from[i] == quoted->key.from[i];
    if (of_peer)
        __builtin_memcpy(ends.from, flow->from, sizeof ends.from);
    else
        __builtin_memcpy(ends.from, packet->key.from, sizeof ends.from);
    __builtin_memcpy(ends.to, flow->to, sizeof ends.to);
    uint32_t difference = rewrite_ip(skb, packet, &ends);
    const uint32_t sum_at = packet->at + offsetof(struct icmp, sum);
    if (is_ipv4(packet)) {
        struct ipv4 ip, before;
        if (!load(skb, inner, &ip, sizeof ip))
            return -1;
        before = ip;
        ip.sum = 0;
        __builtin_memcpy(ip.from, flow->to, 4);
        __builtin_memcpy(ip.to, flow->from, 4);
        ip.sum = folded((uint32_t)bpf_csum_diff(NULL, 0, (__be32 *)&ip, sizeof ip, 0));
        difference =
            (uint32_t)bpf_csum_diff((__be32 *)&before, sizeof before, (__be32 *)&ip, sizeof ip, 0);
        bpf_l4_csum_replace(skb, sum_at, 0, difference, 0);
        bpf_skb_store_bytes(skb, inner, &ip, sizeof ip, 0);
    } else {
        struct ends before;
        __builtin_memcpy(before.from, quoted->key.to, sizeof before.from);
        __builtin_memcpy(before.to, quoted->key.from, sizeof before.to);
        __builtin_memcpy(quote.from, flow->to, sizeof quote.from);
        __builtin_memcpy(quote.to, flow->from, sizeof quote.to);
        bpf_l4_csum_replace(skb, sum_at, 0, difference, BPF_F_PSEUDO_HDR);
        difference = (uint32_t)bpf_csum_diff((__be32 *)&before, sizeof before, (__be32 *)&quote,
                                             sizeof quote, 0);
        bpf_l4_csum_replace(skb, sum_at, 0, difference, 0);
        bpf_skb_store_bytes(skb, inner + offsetof(struct ipv6, from), &quote, sizeof quote, 0);
    }
    bpf_skb_store_bytes(skb, quoted->at, new, sizeof new, 0);
    difference = (uint32_t)bpf_csum_diff((__be32 *)old, 4, (__be32 *)new, 4, 0);
    bpf_l4_csum_replace(skb, sum_at, 0, difference, 0);
    return 0;
}

#endif
