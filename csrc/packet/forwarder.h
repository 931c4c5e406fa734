/* The packet process: keeps the kernel's program (forward.bpf.c) up with the shared table, and the
 * shared table up with the program's flows.
 *
 *   backends' health, views  ->  maps                     published.c, each 20 ms
 *   flows  ->  sessions, counts, the access log; time-outs    sweep.c, in slices
 *
 * Packets are forwarded without it, also while it is dead: then no backend's health is followed and
 * no flow ends. What it knows of each flow is in memory that outlives it (struct l4_tracked), so
 * its successor counts each flow once.
 */
#ifndef L4_PACKET_FORWARDER_H
#define L4_PACKET_FORWARDER_H

#include <stdbool.h>

#include "base/addr.h"
#include "core/flow.h"
#include "packet/bpf.h"
#include "packet/forward.h"
#include "shm/table.h"

enum {
    L4_FORWARDER_TICK_MS = 20,
    L4_FORWARDER_TURN_MS = 1000,    /* between the starts of two walks over all flows */
    L4_FORWARDER_SLICE = 4096,      /* entries that one tick looks at */
    L4_FORWARDER_LINGER_MS = 10000, /* how long the entries of a closed connection stay */
    L4_FORWARDER_YOUNG_MS = 60000,  /* ... and those of one that never came about */
};

enum l4_tracked_state { L4_TRACKED_FREE, L4_TRACKED_LIVE, L4_TRACKED_CLOSED };

/* A flow as this process knows it. listener, pool and backend are the maps' numbers. */
struct l4_tracked {
    struct l4_addr client, local; /* local: where the client sends to */
    uint32_t listener, pool, backend;
    uint16_t protocol, state;
    uint32_t slot, serial;                      /* of its session row; slot L4_NONE: it has none */
    uint32_t counted_listener, counted_backend; /* rows of the shared table that count it */
    uint32_t turn;                              /* the last walk that saw it */
    uint32_t flags[2];                          /* of the client's entry, of the backend's */
    uint64_t began_us, seen_ms;
    uint64_t bytes[2], packets[2];
};

/* What outlives the process. Only the packet process writes. */
struct l4_tracked_memory {
    uint32_t capacity, high; /* high: one past the highest row ever used */
    uint32_t serial;
    uint32_t zero;
    struct l4_tracked rows[];
};

/* A map that is in this process's memory. */
struct l4_mapped {
    char *at;
    uint64_t bytes;
    uint32_t stride;
};

#define L4_MAPPED(mapped, type, i) ((type *)(void *)((mapped).at + (uint64_t)(i) * (mapped).stride))

struct l4_forwarder {
    const struct l4_table *table;
    uint32_t worker; /* the row of the shared table in which it counts */
    int maps[L4_FORWARD_MAPS];
    struct l4_mapped settings, pools, views, slots, turns, backends, listeners, told;
    uint32_t slot_count;
    struct l4_tracked_memory *memory;
    uint64_t memory_bytes;
    struct l4_flows index; /* row of `memory` by client and local address */
    uint32_t *free_slots[2], free_count[2], fresh_slots[2]; /* session rows: TCP, UDP */
    void *events;                                           /* libbpf's ring buffer */
    struct l4_forward_key *keys;                            /* a slice */
    struct l4_forward_flow *values;
    uint64_t now_us, next_turn_ms;
    uint32_t turn;
    int phase;      /* of the walk: enum in sweep.c */
    uint32_t at;    /* row of `memory` that a phase has come to */
    uint32_t batch; /* the kernel's place in a map */
    bool batch_begun;
    bool down; /* a backend went down: UDP flows look for another */
};

/* maps: descriptors in the order of enum l4_forward_map. memory_fd: of a memory file; its size says
 * how many flows it has. Returns 0 or -errno. */
L4_MUST_CHECK int l4_forwarder_open(struct l4_forwarder *f, const struct l4_table *table,
                                    uint32_t worker, const int maps[static L4_FORWARD_MAPS],
                                    int memory_fd);
void l4_forwarder_close(struct l4_forwarder *f);

/* Does what is due. Call it each L4_FORWARDER_TICK_MS. now_us: CLOCK_MONOTONIC. Returns 0 or
 * -errno of a map that could not be read. */
int l4_forwarder_tick(struct l4_forwarder *f, uint64_t now_us);

#endif
