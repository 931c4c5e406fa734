/* What the program that forwards packets (forward.bpf.c) and user space both know: keys and values
 * of its maps.
 *
 * why: long for a header: it is one description, and cutting it would hide the whole.
 *
 * Every structure is without padding. why: the kernel compares keys byte by byte, and without
 * CAP_PERFMON its verifier refuses a key with bytes that were never written. Numbers are in host
 * byte order, except ports and addresses, which are as they are in packets. An IPv4 address is in
 * the first 4 bytes, and the rest is zero.
 *
 * Listeners, pools and backends are known by numbers of their own, which outlive the processes: the
 * rows of the shared table are others after an upgrade, and flows are not.
 *
 * Writers: the supervisor writes services, pools and the backends' addresses; the packet process
 * writes views, the backends' `usable`, and takes flows that have ended out; the program writes
 * flows and counts. Workers put in and take out the flows of their UDP sessions.
 */
#ifndef L4_PACKET_FORWARD_H
#define L4_PACKET_FORWARD_H

#include <stdint.h>

enum {
    L4_FORWARD_SERVICES_MAX = 4096, /* addresses with a port and a protocol */
    L4_FORWARD_LISTENERS_MAX = 1024,
    L4_FORWARD_POOLS_MAX = 1024,
    L4_FORWARD_BACKENDS_MAX = 16384,
    L4_FORWARD_SOURCES_MAX = 4096,   /* addresses to backends, of all pools */
    L4_FORWARD_NETWORKS_MAX = 65536, /* of routes */
    L4_FORWARD_FRAGMENTS_MAX = 8192, /* packets whose fragments are on their way */
    L4_FORWARD_EVENTS_BYTES = 256 << 10,
    L4_FORWARD_PORT_TRIES = 24,   /* ports that one new flow tries */
    L4_FORWARD_ERRORS_MAX = 1000, /* ICMP errors that a processor makes in a second */
};

/* The maps, in the order of their descriptors. */
#define L4_FORWARD_MAPS_EACH(X)                                                                    \
    X(SETTINGS, settings)                                                                          \
    X(SERVICES, services)                                                                          \
    X(POOLS, pools)                                                                                \
    X(VIEWS, views)                                                                                \
    X(SLOTS, slots)                                                                                \
    X(TURNS, turns)                                                                                \
    X(LISTENERS, listeners)                                                                        \
    X(TOLD, told)                                                                                  \
    X(BACKENDS, backends)                                                                          \
    X(SOURCES, sources)                                                                            \
    X(ROUTES4, routes4)                                                                            \
    X(ROUTES6, routes6)                                                                            \
    X(ROUTES_MAC, routes_mac)                                                                      \
    X(YOUNG, young)                                                                                \
    X(FLOWS, flows)                                                                                \
    X(FRAGMENTS, fragments)                                                                        \
    X(TOTALS, totals)                                                                              \
    X(DROPS, drops)                                                                                \
    X(EVENTS, events)

#define L4_FORWARD_MAP(word, name) L4_FORWARD_MAP_##word,
enum l4_forward_map { L4_FORWARD_MAPS_EACH(L4_FORWARD_MAP) L4_FORWARD_MAPS };
#undef L4_FORWARD_MAP

/* One element. */
struct l4_forward_settings {
    uint64_t k0, k1;    /* the installation's hash key: base/hash.h */
    uint64_t beat_ns;   /* packet process: CLOCK_MONOTONIC of its last sign of life */
    uint16_t low, high; /* the host's own ports, which new flows do not take: ip_local_port_range */
    uint32_t zero;
};
_Static_assert(sizeof(struct l4_forward_settings) == 32, "no padding");

/* What a packet is for. An address of zeros: any address of this host. */
struct l4_forward_service {
    uint8_t address[16];
    uint16_t port;
    uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP */
    uint8_t family;   /* 4, 6 */
};
_Static_assert(sizeof(struct l4_forward_service) == 20, "a key without padding");

struct l4_forward_place {
    uint32_t listener, pool;
    uint32_t routes;    /* number of the set of its routes; 0: it has none */
    uint32_t interface; /* packets of other interfaces are not looked at; 0: all are */
};

/* How packets of a pool are changed. */
enum l4_forward_mode {
    L4_FORWARD_NAT,  /* both addresses: backends see this host */
    L4_FORWARD_DNAT, /* the target: backends see the client, and answer by way of this host */
    L4_FORWARD_MAC,  /* nothing: the frame goes to the backend, which has the address itself */
    L4_FORWARD_IPIP, /* nothing: it goes inside of another packet */
    L4_FORWARD_UDP,  /* both: a UDP session of a worker */
};

enum l4_forward_hash { L4_FORWARD_BY_ADDRESS, L4_FORWARD_BY_PORT, L4_FORWARD_BY_MAC };

enum { L4_FORWARD_TRY_ALL = 1 << 0, L4_FORWARD_ALL_BACKUPS = 1 << 1 }; /* flags of a pool */

struct l4_forward_pool {
    uint32_t balance; /* enum l4_balance */
    uint32_t flags;
    uint32_t mode;
    uint32_t hash;                                         /* enum l4_forward_hash */
    uint32_t row;                                          /* of the shared table; L4_NONE */
    uint32_t sources4_at, sources4, sources6_at, sources6; /* its addresses to backends */
    uint8_t mask4[4];                                      /* of what is hashed of an address */
    uint8_t mask6[16];
    uint32_t used;
    uint8_t identity[16]; /* as a backend's */
};
_Static_assert(sizeof(struct l4_forward_pool) == 76, "no padding");

/* What moves in a pool. */
struct l4_forward_turn {
    uint64_t ticket;     /* program: tickets of round robin taken so far */
    uint32_t generation; /* packet process: its low bit is the view in force */
    uint32_t published;  /* ... and the generation of the shared table's view that it has */
};

/* A listener. The program does not look at it. */
struct l4_forward_listener {
    uint32_t row; /* of the shared table; L4_NONE */
    uint32_t used;
    uint8_t identity[16]; /* as a backend's */
};
_Static_assert(sizeof(struct l4_forward_listener) == 24, "no padding");

/* What the packet process has told the shared table of a backend's totals. */
struct l4_forward_told {
    uint64_t bytes[2];
};

/* A view of a pool, two for each: places in `slots`, in numbers of slots, and how many there are.
 */
struct l4_forward_view {
    uint32_t slots_at, slots;   /* the schedule of round robin */
    uint32_t maglev_at, maglev; /* slots of the Maglev table; 0: there is none */
    uint32_t members_at, members;
    uint64_t first_ticket;
};
_Static_assert(sizeof(struct l4_forward_view) == 32, "no padding");

/* why four in an element: an element takes at least 8 bytes. */
enum { L4_FORWARD_SLOTS_EACH = 4 };
struct l4_forward_slots {
    uint64_t backends; /* 16 bits each, the first in the lowest */
};

/* usable: bits. */
enum { L4_FORWARD_PRIMARY = 1 << 0, L4_FORWARD_BACKUP = 1 << 1, L4_FORWARD_ANY = 1 << 2 };

struct l4_forward_backend {
    uint8_t address[16];
    uint16_t port;
    uint16_t family; /* 4, 6; 0: the row is free */
    uint32_t usable; /* packet process */
    uint32_t row;    /* of the shared table; L4_NONE: it is not there any more */
    uint32_t pool;
    uint32_t has_source;
    uint8_t source[16];   /* this host's address towards it, for pools without addresses */
    uint8_t identity[16]; /* digest of what it is: another program finds it again by it */
};
_Static_assert(sizeof(struct l4_forward_backend) == 68, "no padding");

struct l4_forward_source {
    uint8_t address[16];
};

/* A network of a set of routes. bits: those of `set` count too. */
struct l4_forward_network4 {
    uint32_t bits, set;
    uint8_t address[4];
};

struct l4_forward_network6 {
    uint32_t bits, set;
    uint8_t address[16];
};

struct l4_forward_mac {
    uint32_t set;
    uint8_t address[6];
    uint16_t zero;
};

/* Of two routes that fit, the one with the lower order wins. */
struct l4_forward_route {
    uint32_t pool, order;
};

/* A packet as it comes in. */
struct l4_forward_key {
    uint8_t from[16], to[16];
    uint16_t from_port, to_port;
    uint8_t protocol, family;
    uint16_t zero;
};
_Static_assert(sizeof(struct l4_forward_key) == 40, "a key without padding");

enum {
    L4_FORWARD_REPLY = 1 << 0, /* flags: packets of the backend */
    L4_FORWARD_FIN = 1 << 1,   /* this direction has ended */
    L4_FORWARD_CLOSED = 1 << 2,
    L4_FORWARD_ANSWERED = 1 << 3, /* of a client's entry: the backend has answered */
    /* this direction has sent a reset, which its peer may not have taken; it goes with its next
     * packet that is none */
    L4_FORWARD_RESET = 1 << 4,
    L4_FORWARD_FIRST = 1 << 5, /* this direction has ended before the other one */
};

/* What becomes of it: an entry for each direction of a flow. The other direction's key is the
 * reverse of what this one makes of its packets. */
struct l4_forward_flow {
    uint8_t from[16], to[16];
    uint16_t from_port, to_port;
    uint32_t mode, flags;
    uint32_t backend, listener, pool;
    uint32_t proof; /* TCP: what its sender has acknowledged last; of a client that has not yet:
                     * what it acknowledges when it has seen the backend's answer */
    uint32_t mss;   /* bytes of a segment at most; 0: as the peers say */
    uint64_t began_ns, seen_ns;
    uint64_t packets, bytes;
};
_Static_assert(sizeof(struct l4_forward_flow) == 96, "no padding");

/* Returns until when (CLOCK_MONOTONIC) a flow was perhaps used. why a tick more: the program reads
 * a clock that is up to a tick behind, and a flow must not end before its time. */
static inline uint64_t l4_forward_seen_ms(uint64_t seen_ns)
{
    enum { TICK_MS = 10 }; /* of the slowest kernels: 100 Hz */
    return seen_ns / 1000000 + TICK_MS;
}

struct l4_forward_fragment {
    uint8_t from[16], to[16];
    uint32_t id;
    uint8_t protocol, family;
    uint16_t zero;
};
_Static_assert(sizeof(struct l4_forward_fragment) == 40, "a key without padding");

struct l4_forward_ports {
    uint16_t from, to;
};

/* Rows of totals: one for each backend, then one for each listener; once for each processor. */
struct l4_forward_total {
    uint64_t opened;     /* flows */
    uint64_t proven;     /* ... whose client was proven */
    uint64_t packets[2]; /* from clients, from backends */
    uint64_t bytes[2];   /* of IP packets */
};
_Static_assert(sizeof(struct l4_forward_total) == 48, "no padding");

enum l4_forward_drop {
    L4_FORWARD_NO_BACKEND,
    L4_FORWARD_NO_PORT, /* no free local port towards the backend */
    L4_FORWARD_NO_ROOM, /* the tables of flows are full */
    L4_FORWARD_NO_ROUTE,
    L4_FORWARD_NO_NEIGHBOUR,
    L4_FORWARD_TOO_BIG, /* answered by an ICMP error */
    L4_FORWARD_TTL,     /* answered by an ICMP error */
    L4_FORWARD_MALFORMED,
    L4_FORWARD_FULL,          /* not dropped: a proven flow stays young, as `flows` is full */
    L4_FORWARD_NOT_FORWARDED, /* the kernel does not forward packets of this interface */
    L4_FORWARD_DROPS,
};

/* A flow that ended while no process looked: its place was taken by a new one. */
struct l4_forward_event {
    struct l4_forward_key key; /* of the client's direction */
    struct l4_forward_flow ways[2];
};

#endif
