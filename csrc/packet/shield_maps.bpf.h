// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The maps of the shield (layout.h), for the kernel's programs. */
#ifndef L4_PACKET_SHIELD_MAPS_BPF_H
#define L4_PACKET_SHIELD_MAPS_BPF_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "packet/layout.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, L4_SHIELD_SERVICES_MAX);
    __type(key, struct l4_shield_service);
    __type(value, struct l4_shield_place);
} services SEC(".maps");

/* By listener. why no array: a value of a hash is replaced as a whole. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, L4_SHIELD_POLICIES_MAX);
    __type(key, uint32_t);
    __type(value, struct l4_shield_policy);
} policies SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, L4_SHIELD_NETWORKS_MAX);
    __type(key, struct l4_shield_network4);
    __type(value, uint32_t);
} networks4 SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, L4_SHIELD_NETWORKS_MAX);
    __type(key, struct l4_shield_network6);
    __type(value, uint32_t);
} networks6 SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, L4_SHIELD_KNOWN_MAX);
    __type(key, struct l4_shield_client);
    __type(value, uint32_t);
} known SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, L4_SHIELD_POLICIES_MAX *L4_SHIELD_ROWS);
    __type(key, uint32_t); /* listener times L4_SHIELD_ROWS, plus the row */
    __type(value, struct l4_shield_count);
} counts SEC(".maps");

/* Sources that have completed a handshake with a listener that has a rate limit. why no others: a
 * flood of SYNs from addresses that do not exist is not to push them out. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, L4_SHIELD_BUCKETS_MAX);
    __type(key, struct l4_shield_source);
    __type(value, struct l4_shield_bucket);
} buckets SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, uint32_t);
    __type(value, struct l4_shield_settings);
} settings SEC(".maps");

#endif
