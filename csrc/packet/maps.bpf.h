/* The maps of the program that forwards: packet/forward.h. */
#ifndef L4_PACKET_MAPS_BPF_H
#define L4_PACKET_MAPS_BPF_H

#include "packet/packet.bpf.h"

#define TABLE(name, kind, flags, entries, key_type, value_type)                                    \
    struct {                                                                                       \
        __uint(type, BPF_MAP_TYPE_##kind);                                                         \
        __uint(map_flags, flags);                                                                  \
        __uint(max_entries, entries);                                                              \
        __type(key, key_type);                                                                     \
        __type(value, value_type);                                                                 \
    } name SEC(".maps")

TABLE(settings, ARRAY, BPF_F_MMAPABLE, 1, uint32_t, struct l4_forward_settings);
TABLE(services, HASH, BPF_F_NO_PREALLOC, L4_FORWARD_SERVICES_MAX, struct l4_forward_service,
      struct l4_forward_place);
TABLE(pools, ARRAY, BPF_F_MMAPABLE, L4_FORWARD_POOLS_MAX, uint32_t, struct l4_forward_pool);
TABLE(views, ARRAY, BPF_F_MMAPABLE, 2 * L4_FORWARD_POOLS_MAX, uint32_t, struct l4_forward_view);
TABLE(slots, ARRAY, BPF_F_MMAPABLE, 1 << 16, uint32_t, struct l4_forward_slots);
TABLE(turns, ARRAY, BPF_F_MMAPABLE, L4_FORWARD_POOLS_MAX, uint32_t, struct l4_forward_turn);
TABLE(listeners, ARRAY, BPF_F_MMAPABLE, L4_FORWARD_LISTENERS_MAX, uint32_t,
      struct l4_forward_listener);
TABLE(told, ARRAY, BPF_F_MMAPABLE, L4_FORWARD_BACKENDS_MAX, uint32_t, struct l4_forward_told);
TABLE(backends, ARRAY, BPF_F_MMAPABLE, L4_FORWARD_BACKENDS_MAX, uint32_t,
      struct l4_forward_backend);
TABLE(sources, ARRAY, BPF_F_MMAPABLE, L4_FORWARD_SOURCES_MAX, uint32_t, struct l4_forward_source);
TABLE(routes4, LPM_TRIE, BPF_F_NO_PREALLOC, L4_FORWARD_NETWORKS_MAX, struct l4_forward_network4,
      struct l4_forward_route);
TABLE(routes6, LPM_TRIE, BPF_F_NO_PREALLOC, L4_FORWARD_NETWORKS_MAX, struct l4_forward_network6,
      struct l4_forward_route);
TABLE(routes_mac, HASH, BPF_F_NO_PREALLOC, L4_FORWARD_NETWORKS_MAX, struct l4_forward_mac,
      struct l4_forward_route);
TABLE(young, LRU_HASH, 0, 1 << 16, struct l4_forward_key, struct l4_forward_flow);
TABLE(flows, HASH, BPF_F_NO_PREALLOC, 1 << 16, struct l4_forward_key, struct l4_forward_flow);
TABLE(fragments, LRU_HASH, 0, L4_FORWARD_FRAGMENTS_MAX, struct l4_forward_fragment,
      struct l4_forward_ports);
TABLE(totals, PERCPU_ARRAY, 0, L4_FORWARD_BACKENDS_MAX + L4_FORWARD_LISTENERS_MAX, uint32_t,
      struct l4_forward_total);
TABLE(drops, PERCPU_ARRAY, 0, L4_FORWARD_DROPS, uint32_t, uint64_t);

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, L4_FORWARD_EVENTS_BYTES);
} events SEC(".maps");

/* The packet that this processor reads, and the one that it quotes. why a map: the verifier then
 * does not follow each value that their fields may have, and looks at a path once instead of dozens
 * of times. */
struct reading {
    struct packet packet, quoted;
};
TABLE(reading, PERCPU_ARRAY, 0, 1, uint32_t, struct reading);

HERE struct reading *read_now(void)
{
    const uint32_t zero = 0;
    return bpf_map_lookup_elem(&reading, &zero);
}

/* A function that is not static: the verifier looks at it once, and not at each call. All it gets
 * are numbers and the packet. why no pointers: a process without CAP_PERFMON may not give it any.
 */
#define APART(type, name, ...)                                                                     \
    type name(__VA_ARGS__);                                                                        \
    __noinline type name(__VA_ARGS__)

/* The two entries of a flow that is made. why a map: a program's stack has 512 bytes. */
struct made {
    struct l4_forward_flow ways[2];
};
TABLE(making, PERCPU_ARRAY, 0, 1, uint32_t, struct made);

/* The next local port towards each backend; 0: none was taken yet. */
TABLE(next_ports, ARRAY, 0, L4_FORWARD_BACKENDS_MAX, uint32_t, uint32_t);

/* ICMP errors that this processor has made in this stretch of time. */
struct errors {
    uint64_t stretch, count;
};
TABLE(errors, PERCPU_ARRAY, 0, 1, uint32_t, struct errors);

HERE void count_drop(enum l4_forward_drop why)
{
    const uint32_t key = why;
    uint64_t *count = bpf_map_lookup_elem(&drops, &key);
    if (count)
        ++*count;
}

HERE int dropped(enum l4_forward_drop why)
{
    count_drop(why);
    return DROP;
}

#endif
