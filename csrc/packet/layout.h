/* What the kernel's programs (shield.bpf.c, shield_xdp.bpf.c) and user space (loader.c) both know:
 * keys and values of the maps.
 *
 * Every structure is without padding. why: the kernel compares keys byte by byte, and without
 * CAP_PERFMON its verifier refuses a key with bytes that were never written. Numbers are in host
 * byte order, except ports and addresses, which are as they are in packets. An IPv4 address is in
 * the first 4 bytes, and the rest is zero.
 *
 * User space writes all maps but the counts and the buckets, which only the program writes. A set
 * of networks is known by a number that is never used again: so a set is filled before a policy
 * names it, and emptied when no policy names it any more. A number of 0 means that there is no set.
 */
#ifndef L4_PACKET_LAYOUT_H
#define L4_PACKET_LAYOUT_H

#include <stdint.h>

#include "packet/rate.h"

/* Increase it with each change of this file: an upgrade then takes over no maps. */
#define L4_SHIELD_LAYOUT 2

enum {
    L4_SHIELD_SERVICES_MAX = 4096,
    L4_SHIELD_POLICIES_MAX = 4096,
    L4_SHIELD_NETWORKS_MAX = 131072, /* of each family, over all sets */
    L4_SHIELD_KNOWN_MAX = 131072,
    L4_SHIELD_BUCKETS_MAX = 65536,
    L4_SHIELD_HEADERS_MAX = 8, /* extension headers of IPv6 that are looked behind */
};

/* The maps, in the order in which loader.c has their descriptors. Names in shield_maps.bpf.h. */
#define L4_SHIELD_MAPS_EACH(X)                                                                     \
    X(SERVICES, services)                                                                          \
    X(POLICIES, policies)                                                                          \
    X(NETWORKS4, networks4)                                                                        \
    X(NETWORKS6, networks6)                                                                        \
    X(KNOWN, known)                                                                                \
    X(COUNTS, counts)                                                                              \
    X(BUCKETS, buckets)                                                                            \
    X(SETTINGS, settings)

#define L4_SHIELD_MAP(word, name) L4_SHIELD_##word,
enum l4_shield_map { L4_SHIELD_MAPS_EACH(L4_SHIELD_MAP) L4_SHIELD_MAPS };
#undef L4_SHIELD_MAP

enum { L4_SHIELD_IPV4 = 4, L4_SHIELD_IPV6 = 6 }; /* families */

/* What a listener listens on. An address of zeros: any address of this host. */
struct l4_shield_service {
    uint8_t address[16];
    uint16_t port;
    uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP */
    uint8_t family;
};
_Static_assert(sizeof(struct l4_shield_service) == 20, "a key without padding");

/* Whose it is. interface: packets of other interfaces are not looked at; 0: all are. */
struct l4_shield_place {
    uint32_t listener;
    uint32_t interface;
};

enum l4_shield_flags {
    L4_SHIELD_JUDGES_ACCESS = 1 << 0, /* rules, access and OTHERS_DENIED are in force */
    L4_SHIELD_OTHERS_DENIED = 1 << 1, /* sources that are in neither set are denied */
    L4_SHIELD_DRY_RUN = 1 << 2,       /* count, and drop nothing */
    L4_SHIELD_RATES_ALONE = 1 << 4,   /* no worker counts: the rate limit is one of SYNs */
    L4_SHIELD_DENIED_PASS = 1 << 3,   /* workers turn the denied away: nothing is said of them */
};

/* The rules of one listener, in the order in which a worker applies them. The first five are sets
 * of networks. */
struct l4_shield_policy {
    uint32_t proxies;  /* these sources speak for others: nothing is said of them */
    uint32_t blocks;   /* value L4_SHIELD_BLOCKED: turned away */
    uint32_t speakers; /* these HTTP proxies speak for others: the access list is not for them */
    uint32_t rules;    /* of the run time; they come before `access` */
    uint32_t access;
    uint32_t flags; /* enum l4_shield_flags */
    struct l4_shield_rate rate;
    uint32_t counted_as; /* the listener by which sources are counted, of all its addresses */
    uint8_t mask4[4], mask6[16]; /* the bits of an address that make a source */
};
_Static_assert(sizeof(struct l4_shield_policy) == 64, "a value without padding");

/* A source of one listener. address: its other bits are zero. */
struct l4_shield_source {
    uint8_t address[16];
    uint32_t listener;
    uint32_t family;
};
_Static_assert(sizeof(struct l4_shield_source) == 24, "a key without padding");

/* A network of a set. bits: those of `set` count too, so they are 32 more than the network's. */
struct l4_shield_network4 {
    uint32_t bits;
    uint32_t set;
    uint8_t address[4];
};
_Static_assert(sizeof(struct l4_shield_network4) == 12, "a key without padding");

struct l4_shield_network6 {
    uint32_t bits;
    uint32_t set;
    uint8_t address[16];
};
_Static_assert(sizeof(struct l4_shield_network6) == 24, "a key without padding");

enum { L4_SHIELD_SET_BITS = 32 };

/* Values of networks: those of shm/listener_policy.h and of supervisor/access/blocks.py. */
enum { L4_SHIELD_DENIED = 2, L4_SHIELD_BLOCKED = 1 };

/* A UDP client that had a session before its source was denied. */
struct l4_shield_client {
    uint8_t address[16];
    uint32_t listener;
    uint16_t port;
    uint16_t family;
};
_Static_assert(sizeof(struct l4_shield_client) == 24, "a key without padding");

enum l4_shield_reason {
    L4_SHIELD_BY_ACCESS,
    L4_SHIELD_BY_BLOCK,
    L4_SHIELD_BY_RATE,
    L4_SHIELD_REASONS
};

/* A listener's rows in the counts: what was dropped, by reason; what a dry run would have dropped.
 * why rows, and no arrays in a value: the verifier lets a program without CAP_PERFMON use a pointer
 * into a value only with offsets that it knows. */
enum {
    L4_SHIELD_DRY = L4_SHIELD_REASONS, /* the first row of a dry run */
    L4_SHIELD_ROWS = 2 * L4_SHIELD_REASONS,
};

/* One row, once for each processor. A packet that the kernel has put together from several counts
 * as so many. */
struct l4_shield_count {
    uint64_t packets;
    uint64_t bytes;
};
_Static_assert(sizeof(struct l4_shield_count) == 16, "a value without padding");

/* The only value of the settings. */
struct l4_shield_settings {
    uint32_t rates; /* a policy has a rate; 0: no packet of a session is looked at */
};

#endif
