/* A packet as it comes in at an Ethernet interface: what is read of it. For programs of the kernel.
 *
 * why: long for a header: a program of the kernel is one object, and links nothing.
 */
#ifndef L4_PACKET_PACKET_BPF_H
#define L4_PACKET_PACKET_BPF_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "packet/forward.h"
#include "packet/headers.bpf.h"

/* why not TC_ACT_OK: other programs of this interface are to see the packet too. */
enum { PASS = TC_ACT_UNSPEC, DROP = TC_ACT_SHOT };

#define HERE static __always_inline

struct ethernet {
    uint8_t to[6], from[6];
    uint16_t kind;
};

struct ipv6_fragment {
    uint8_t next, zero;
    uint16_t offset; /* and whether more follow */
    uint32_t id;
};

struct tcp {
    uint16_t from, to;
    uint32_t number, acknowledged;
    uint8_t words, flags;
    uint16_t window, sum, urgent;
};

struct icmp {
    uint8_t type, code;
    uint16_t sum;
    uint16_t zero, mtu; /* ICMPv6: both are the MTU */
};

enum { ICMPV6 = 58 };
enum { IP_AT = sizeof(struct ethernet) };
enum { PACKET_HOST = 0 };

/* what is in a packet */
enum content {
    NOTHING, /* that this program forwards */
    SEGMENT, /* TCP or UDP */
    TAIL,    /* a fragment without the ports */
    ICMP_ERROR,
};

struct packet {
    struct l4_forward_key key;
    uint32_t at; /* of what is behind the IP header */
    uint32_t id; /* of a fragment */
    uint32_t number, acknowledged;
    uint32_t bytes;       /* of the IP packet */
    uint32_t head;        /* bytes of the header at `at` */
    uint16_t sum;         /* of the IP header */
    uint8_t ttl, flags;   /* flags: of TCP */
    bool fragment, whole; /* whole: it must not be cut into fragments */
};

HERE bool is_ipv4(const struct packet *packet)
{
    return packet->key.family == 4;
}

HERE bool load(const struct __sk_buff *skb, uint32_t at, void *to, uint32_t bytes)
{
    return bpf_skb_load_bytes(skb, at, to, bytes) == 0;
}

HERE bool read_ipv4(const struct __sk_buff *skb, struct packet *packet, uint16_t *fragment)
{
    struct ipv4 ip;
    if (!load(skb, IP_AT, &ip, sizeof ip) || ip.version_and_words != 0x45)
        return false;
    __builtin_memcpy(packet->key.from, ip.from, sizeof ip.from);
    __builtin_memcpy(packet->key.to, ip.to, sizeof ip.to);
    packet->key.family = 4;
    packet->key.protocol = ip.protocol;
    packet->at = IP_AT + sizeof ip;
    packet->ttl = ip.ttl;
    packet->sum = ip.sum;
    packet->bytes = bpf_ntohs(ip.bytes);
    if (!packet->bytes && skb->gso_size) /* more than 64 KiB: BIG TCP */
        packet->bytes = skb->len - IP_AT;
    packet->id = ip.id;
    *fragment = bpf_ntohs(ip.fragment);
    packet->whole = *fragment & IPV4_WHOLE;
    packet->fragment = *fragment & (IPV4_OFFSET | IPV4_MORE);
    *fragment &= IPV4_OFFSET;
    return packet->bytes >= sizeof ip && packet->bytes <= skb->len - IP_AT;
}

HERE bool read_ipv6(const struct __sk_buff *skb, struct packet *packet, uint16_t *fragment)
{
    struct ipv6 ip;
    if (!load(skb, IP_AT, &ip, sizeof ip) || ip.version >> 4 != 6)
        return false;
    __builtin_memcpy(packet->key.from, ip.from, sizeof ip.from);
    __builtin_memcpy(packet->key.to, ip.to, sizeof ip.to);
    packet->key.family = 6;
    packet->key.protocol = ip.next;
    packet->at = IP_AT + sizeof ip;
    packet->ttl = ip.hops;
    packet->bytes = sizeof ip + bpf_ntohs(ip.bytes);
    packet->whole = true;
    if (packet->bytes > skb->len - IP_AT)
        return false;
    if (ip.next != NEXT_FRAGMENT)
        return true;
    struct ipv6_fragment header;
    if (!load(skb, packet->at, &header, sizeof header))
        return false;
    packet->key.protocol = header.next;
    packet->at += sizeof header;
    packet->id = header.id;
    packet->fragment = true;
    *fragment = bpf_ntohs(header.offset) & IPV6_OFFSET;
    return true;
}

HERE bool is_icmp_error(const struct packet *packet, uint8_t type)
{
    /* ICMP: unreachable, time exceeded, parameter problem. ICMPv6: all below 128 are errors. */
    return is_ipv4(packet) ? type == 3 || type == 11 || type == 12 : type >= 1 && type <= 4;
}

/* Reads what is behind the IP header. */
HERE enum content read_content(const struct __sk_buff *skb, struct packet *packet)
{
    struct tcp tcp;
    if (packet->key.protocol == IPPROTO_TCP) {
        if (!load(skb, packet->at, &tcp, sizeof tcp))
            return NOTHING;
        packet->number = bpf_ntohl(tcp.number);
        packet->acknowledged = bpf_ntohl(tcp.acknowledged);
        packet->flags = tcp.flags;
        packet->head = (tcp.words >> 4) * 4;
        if (packet->head < sizeof tcp)
            return NOTHING;
    } else if (packet->key.protocol == IPPROTO_UDP) {
        if (!load(skb, packet->at, &tcp, sizeof(struct udp)))
            return NOTHING;
        packet->head = sizeof(struct udp);
    } else if (packet->key.protocol == (is_ipv4(packet) ? IPPROTO_ICMP : ICMPV6)) {
        uint8_t type;
        return load(skb, packet->at, &type, 1) && is_icmp_error(packet, type) ? ICMP_ERROR
                                                                              : NOTHING;
    } else {
        return NOTHING;
    }
    packet->key.from_port = tcp.from;
    packet->key.to_port = tcp.to;
    /* why: what follows the IP packet in its frame is not part of it. */
    const bool is_cut = packet->at - IP_AT + packet->head > packet->bytes;
    return is_cut ? NOTHING : SEGMENT;
}

/* Reads a packet. */
HERE enum content read_packet(const struct __sk_buff *skb, struct packet *packet)
{
    uint16_t fragment = 0;
    /* why no VLAN: the packet comes in once more, at the interface of that VLAN. */
    if (skb->pkt_type != PACKET_HOST || skb->vlan_present)
        return NOTHING;
    if (skb->protocol == bpf_htons(ETH_P_IP)) {
        if (!read_ipv4(skb, packet, &fragment))
            return NOTHING;
    } else if (skb->protocol != bpf_htons(ETH_P_IPV6) || !read_ipv6(skb, packet, &fragment)) {
        return NOTHING;
    }
    if (!fragment)
        return read_content(skb, packet);
    const uint8_t protocol = packet->key.protocol;
    return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP ? TAIL : NOTHING;
}

#endif
