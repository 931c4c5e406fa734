/* What the kernel's program of wide port ranges (look.bpf.c) and user space (l4lb/packet/look.py)
 * both know: keys and values of the maps.
 *
 * Every structure is without padding, for the reasons of layout.h. Ports are in network byte order
 * in keys: a range of ports is then some prefixes of bits. An IPv4 address is in the first 4 bytes,
 * and the rest is zero. An address of zeros is any address of its family.
 *
 * User space writes all maps, and the program writes none. A range is known by a slot, where one of
 * its listening sockets is. A slot is given to another range only when no part of the old one is
 * left.
 */
#ifndef L4_PACKET_LOOK_H
#define L4_PACKET_LOOK_H

#include <stdint.h>

/* Increase it with each change of this file: an upgrade then takes over no maps. */
#define L4_LOOK_LAYOUT 1

enum {
    L4_LOOK_PARTS_MAX = 32768,           /* a range of ports has at most 30 */
    L4_LOOK_SLOTS_MAX = 4096,            /* as many as a service has addresses */
    L4_LOOK_BOUND_MAX = 131072,          /* two for each port of each family */
    L4_LOOK_ADDRESS_BITS = 8 * (2 + 16), /* those of a part's family and address */
};

/* A prefix of ports at one address. bits: those of family, address and port that count. */
struct l4_look_part {
    uint32_t bits;
    uint16_t family; /* AF_INET, AF_INET6, in host byte order */
    uint8_t address[16];
    uint16_t port;
};
_Static_assert(sizeof(struct l4_look_part) == 24, "a key without padding");

/* Whose it is. interface: clients of other interfaces are not taken; 0: all are. */
struct l4_look_place {
    uint32_t slot;
    uint32_t interface;
};
_Static_assert(sizeof(struct l4_look_place) == 8, "a value without padding");

/* A socket that is really bound, and so takes its port out of all ranges. Its value is the
 * interface that the socket is bound to; 0: to none. */
struct l4_look_bound {
    uint8_t address[16];
    uint16_t port;
    uint16_t family;
};
_Static_assert(sizeof(struct l4_look_bound) == 20, "a key without padding");

#endif
