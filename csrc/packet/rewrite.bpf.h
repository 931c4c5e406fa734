/* Changes the addresses and ports of a packet, with its checksums. */
#ifndef L4_PACKET_REWRITE_BPF_H
#define L4_PACKET_REWRITE_BPF_H

#include "packet/maps.bpf.h"

/* The second half of an IPv4 header. */
struct ipv4_end {
    uint8_t ttl, protocol;
    uint16_t sum;
    uint8_t addresses[8];
};

HERE uint16_t folded(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

struct ends {
    uint8_t from[16], to[16];
};

/* Writes the IP header: addresses, and a TTL that is one less. Returns the difference of the
 * addresses for other checksums. */
HERE uint32_t rewrite_ipv4(struct __sk_buff *skb, const struct packet *packet,
                           const struct ends *ends)
{
    struct ipv4_end old = {.ttl = packet->ttl, .protocol = packet->key.protocol};
    __builtin_memcpy(old.addresses, packet->key.from, 4);
    __builtin_memcpy(old.addresses + 4, packet->key.to, 4);
    struct ipv4_end new = {.ttl = packet->ttl - 1, .protocol = packet->key.protocol};
    __builtin_memcpy(new.addresses, ends->from, 4);
    __builtin_memcpy(new.addresses + 4, ends->to, 4);
    const int64_t sum = bpf_csum_diff((__be32 *)&old, sizeof old, (__be32 *)&new, sizeof new,
                                      (uint16_t)~packet->sum);
    new.sum = folded((uint32_t)sum);
    const int64_t difference =
        bpf_csum_diff((__be32 *)old.addresses, 8, (__be32 *)new.addresses, 8, 0);
    bpf_skb_store_bytes(skb, IP_AT + offsetof(struct ipv4, ttl), &new, sizeof new, 0);
    return (uint32_t)difference;
}

HERE uint32_t rewrite_ipv6(struct __sk_buff *skb, const struct packet *packet,
                           const struct ends *ends)
{
    /* why RECOMPUTE: no checksum of the header makes up for the difference, in the sum over the
     * whole packet that some cards give. */
    const uint8_t hops = packet->ttl - 1;
    const int64_t difference =
        bpf_csum_diff((__be32 *)packet->key.from, sizeof *ends, (__be32 *)ends, sizeof *ends, 0);
    bpf_skb_store_bytes(skb, IP_AT + offsetof(struct ipv6, hops), &hops, 1, BPF_F_RECOMPUTE_CSUM);
    bpf_skb_store_bytes(skb, IP_AT + offsetof(struct ipv6, from), ends, sizeof *ends,
                        BPF_F_RECOMPUTE_CSUM);
    return (uint32_t)difference;
}

HERE uint32_t rewrite_ip(struct __sk_buff *skb, const struct packet *packet,
                         const struct ends *ends)
{
    return is_ipv4(packet) ? rewrite_ipv4(skb, packet, ends) : rewrite_ipv6(skb, packet, ends);
}

/* Rewrites a packet that is a segment, or (segment false) a fragment without its ports. */
static __noinline int rewrite(struct __sk_buff *skb, const struct packet *packet,
                              const struct l4_forward_flow *flow)
{
    const bool segment = packet->head;
    struct ends ends;
    __builtin_memcpy(ends.from, flow->from, sizeof ends.from);
    __builtin_memcpy(ends.to, flow->to, sizeof ends.to);
    const uint32_t addresses = rewrite_ip(skb, packet, &ends);
    if (!segment)
        return 0;
    uint16_t old[2] = {packet->key.from_port, packet->key.to_port};
    uint16_t new[2] = {flow->from_port, flow->to_port};
    const bool is_udp = packet->key.protocol == IPPROTO_UDP;
    const uint64_t zero_is_none = is_udp ? BPF_F_MARK_MANGLED_0 : 0;
    const uint32_t sum_at =
        packet->at + (is_udp ? offsetof(struct udp, sum) : offsetof(struct tcp, sum));
    const uint32_t ports = (uint32_t)bpf_csum_diff((__be32 *)old, 4, (__be32 *)new, 4, 0);
    bpf_skb_store_bytes(skb, packet->at, new, sizeof new, 0);
    bpf_l4_csum_replace(skb, sum_at, 0, addresses, BPF_F_PSEUDO_HDR | zero_is_none);
    bpf_l4_csum_replace(skb, sum_at, 0, ports, zero_is_none);
    return 0;
}

/* Lowers the longest segment that a SYN offers, if it offers more. */
APART(int, clamp_mss, struct __sk_buff *skb, uint32_t at, uint32_t head, uint32_t mss)
{
    enum { END = 0, PAD = 1, MSS = 2, OPTIONS_MAX = 20 };
    uint32_t option = at + sizeof(struct tcp);
    for (int i = 0; i < OPTIONS_MAX; i++) {
        struct {
            uint8_t kind, bytes;
            uint16_t value;
        } found = {};
        if (option + 4 > at + head || !load(skb, option, &found, sizeof found))
            return 0;
        if (found.kind == END || (found.kind != PAD && found.bytes < 2))
            return 0;
        if (found.kind == MSS && found.bytes == 4) {
            const uint16_t lower = bpf_htons((uint16_t)mss);
            if (bpf_ntohs(found.value) <= mss)
                return 0;
            /* why the position: a value that begins at an odd byte is swapped in the sum. */
            const bool odd = (option - at) & 1;
            const uint32_t sum_at = at + offsetof(struct tcp, sum);
            bpf_skb_store_bytes(skb, option + 2, &lower, sizeof lower, 0);
            bpf_l4_csum_replace(skb, sum_at, odd ? __builtin_bswap16(found.value) : found.value,
                                odd ? __builtin_bswap16(lower) : lower, 2);
            return 1;
        }
        option += found.kind == PAD ? 1 : found.bytes;
    }
    return 0;
}

#endif
