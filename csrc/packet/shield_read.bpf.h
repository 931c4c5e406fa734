// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Reads of a packet what the shield needs. Programs of tc and of XDP have packets in another form:
 * each defines `copy` and `join`.
 *
 * why so long a header: two programs are compiled of it. */
#ifndef L4_PACKET_SHIELD_READ_BPF_H
#define L4_PACKET_SHIELD_READ_BPF_H

#include <linux/in.h>
#include <stdbool.h>
#include <stdint.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "packet/headers.bpf.h"
#include "packet/layout.h"

struct packet {
    void *context;      /* struct __sk_buff or struct xdp_md */
    uint32_t interface; /* where it came in */
    uint32_t start;     /* XDP: where the IP header begins */
    uint32_t bytes;
    uint32_t segments; /* that the kernel has put together */
};

/* Copies bytes from an offset behind the start of the IP header. Returns whether the packet is long
 * enough. */
static __always_inline bool copy(const struct packet *packet, uint32_t at, void *to,
                                 uint32_t bytes);

/* Makes the first HEADERS_BYTES one piece of memory, if they are not. Returns whether they are. */
static __always_inline bool join(const struct packet *packet);

enum { HEADERS_BYTES = 128 };

enum kind {
    OTHER,
    BEGINS,       /* a TCP SYN, or a datagram */
    ACKNOWLEDGES, /* a segment of TCP that may complete a handshake */
};

/* A packet that was read. */
struct opening {
    uint8_t from[16], to[16];
    uint16_t from_port, to_port;
    uint8_t family, protocol;
};

struct tcp_start {
    uint16_t from_port, to_port;
    uint8_t numbers[8];
    uint8_t words, flags;
};

enum { NEXT_HOP = 0, NEXT_DESTINATION = 60 };

/* Reads the start of a packet. */
static __always_inline bool copy_first(const struct packet *packet, void *to, uint32_t bytes)
{
    return copy(packet, 0, to, bytes) || (join(packet) && copy(packet, 0, to, bytes));
}

/* Reads the ports. */
static __always_inline enum kind read_ports(const struct packet *packet, uint32_t at,
                                            uint8_t protocol, struct opening *opening)
{
    opening->protocol = protocol;
    if (protocol == IPPROTO_UDP) {
        struct udp udp;
        if (!copy(packet, at, &udp, sizeof udp))
            return OTHER;
        opening->from_port = udp.from_port;
        opening->to_port = udp.to_port;
        return BEGINS;
    }
    struct tcp_start tcp;
    if (protocol != IPPROTO_TCP || !copy(packet, at, &tcp, sizeof tcp))
        return OTHER;
    opening->from_port = tcp.from_port;
    opening->to_port = tcp.to_port;
    switch (tcp.flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) {
    case TCP_SYN:
        return BEGINS;
    case TCP_ACK:
        return ACKNOWLEDGES;
    default:
        return OTHER;
    }
}

static __always_inline enum kind read_ipv4(const struct packet *packet, struct opening *opening)
{
    struct ipv4 ip;
    if (!copy_first(packet, &ip, sizeof ip) || ip.version_and_words >> 4 != 4)
        return OTHER;
    const uint32_t words = ip.version_and_words & 15;
    if (words < sizeof ip / 4 || ip.fragment & bpf_htons(IPV4_OFFSET))
        return OTHER;
    __builtin_memcpy(opening->from, ip.from, sizeof ip.from);
    __builtin_memcpy(opening->to, ip.to, sizeof ip.to);
    opening->family = L4_SHIELD_IPV4;
    return read_ports(packet, words * 4, ip.protocol, opening);
}

static __always_inline enum kind read_ipv6(const struct packet *packet, struct opening *opening)
{
    struct ipv6 ip;
    if (!copy_first(packet, &ip, sizeof ip) || ip.version >> 4 != 6)
        return OTHER;
    __builtin_memcpy(opening->from, ip.from, sizeof ip.from);
    __builtin_memcpy(opening->to, ip.to, sizeof ip.to);
    opening->family = L4_SHIELD_IPV6;
    uint32_t at = sizeof ip;
    uint8_t next = ip.next;
    for (int i = 0; i < L4_SHIELD_HEADERS_MAX; i++) {
        uint8_t header[4]; /* next, length, or of a fragment: next, nothing, offset */
        if (next != NEXT_HOP && next != NEXT_FRAGMENT && next != NEXT_DESTINATION)
            break;
        if (!copy(packet, at, header, sizeof header))
            return OTHER;
        if (next == NEXT_FRAGMENT && (header[2] << 8 | header[3]) & IPV6_OFFSET)
            return OTHER;
        at += next == NEXT_FRAGMENT ? 8 : (header[1] + 1) * 8;
        next = header[0];
    }
    return read_ports(packet, at, next, opening);
}

#endif
