/* Headers of packets, as far as the programs of the kernel need them. why not the kernel's own:
 * some of them need a libc. */
#ifndef L4_PACKET_HEADERS_BPF_H
#define L4_PACKET_HEADERS_BPF_H

#include <stdint.h>

struct ipv4 {
    uint8_t version_and_words, service;
    uint16_t bytes, id, fragment;
    uint8_t ttl, protocol;
    uint16_t sum;
    uint8_t from[4], to[4];
};

struct ipv6 {
    uint8_t version, rest[3];
    uint16_t bytes;
    uint8_t next, hops;
    uint8_t from[16], to[16];
};

struct udp {
    uint16_t from_port, to_port, bytes, sum;
};

enum { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04, TCP_ACK = 0x10 };
enum { IPV4_OFFSET = 0x1fff, IPV4_MORE = 0x2000, IPV4_WHOLE = 0x4000 };
enum { IPV6_OFFSET = 0xfff8, NEXT_FRAGMENT = 44 };

#endif
