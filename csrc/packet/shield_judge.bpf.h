// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* What the shield says of a packet that was read.
 *
 * why so long a header: two programs are compiled of it. */
#ifndef L4_PACKET_SHIELD_JUDGE_BPF_H
#define L4_PACKET_SHIELD_JUDGE_BPF_H

#include "packet/shield_maps.bpf.h"
#include "packet/shield_read.bpf.h"

/* Is the packet for this host? A packet to a port of a listener on any address may be one that this
 * host only forwards. */
static __always_inline bool ends_here(const struct packet *packet, const struct opening *opening)
{
    struct bpf_fib_lookup way = {.l4_protocol = opening->protocol, .ifindex = packet->interface};
    if (opening->family == L4_SHIELD_IPV4) {
        way.family = 2; /* AF_INET */
        __builtin_memcpy(&way.ipv4_src, opening->from, 4);
        __builtin_memcpy(&way.ipv4_dst, opening->to, 4);
    } else {
        way.family = 10; /* AF_INET6 */
        __builtin_memcpy(way.ipv6_src, opening->from, 16);
        __builtin_memcpy(way.ipv6_dst, opening->to, 16);
    }
    const long found = bpf_fib_lookup(packet->context, &way, sizeof way, 0);
    return found == BPF_FIB_LKUP_RET_NOT_FWDED || found == BPF_FIB_LKUP_RET_FWD_DISABLED;
}

/* Returns the place of the listener for which the packet is. *any: it listens on any address. */
static __always_inline const struct l4_shield_place *find_place(const struct opening *opening,
                                                                bool *any)
{
    struct l4_shield_service key = {
        .port = opening->to_port, .protocol = opening->protocol, .family = opening->family};
    __builtin_memcpy(key.address, opening->to, sizeof key.address);
    const struct l4_shield_place *place = bpf_map_lookup_elem(&services, &key);
    *any = !place;
    if (place)
        return place;
    __builtin_memset(key.address, 0, sizeof key.address);
    return bpf_map_lookup_elem(&services, &key);
}

/* Returns the value of the most specific network in a set; 0: there is none. */
static __always_inline uint32_t find(uint32_t set, const struct opening *opening)
{
    const uint32_t *value;
    if (!set)
        return 0;
    if (opening->family == L4_SHIELD_IPV4) {
        struct l4_shield_network4 key = {.bits = L4_SHIELD_SET_BITS + 32, .set = set};
        __builtin_memcpy(key.address, opening->from, sizeof key.address);
        value = bpf_map_lookup_elem(&networks4, &key);
    } else {
        struct l4_shield_network6 key = {.bits = L4_SHIELD_SET_BITS + 128, .set = set};
        __builtin_memcpy(key.address, opening->from, sizeof key.address);
        value = bpf_map_lookup_elem(&networks6, &key);
    }
    return value ? *value : 0;
}

enum verdict { DENIED, BLOCKED, LET_IN, EXEMPT };

/* Returns what the sets say of the source. EXEMPT: a proxy, or somebody whom workers turn away. */
static __always_inline enum verdict judge(const struct l4_shield_policy *policy,
                                          const struct opening *opening)
{
    if (find(policy->proxies, opening))
        return EXEMPT;
    if (find(policy->blocks, opening) == L4_SHIELD_BLOCKED)
        return BLOCKED;
    if (!(policy->flags & L4_SHIELD_JUDGES_ACCESS) || find(policy->speakers, opening))
        return LET_IN;
    uint32_t found = find(policy->rules, opening);
    if (!found)
        found = find(policy->access, opening);
    const bool denied = found ? found == L4_SHIELD_DENIED : policy->flags & L4_SHIELD_OTHERS_DENIED;
    if (denied && policy->flags & L4_SHIELD_DENIED_PASS)
        return EXEMPT;
    return denied ? DENIED : LET_IN;
}

/* Has the packet's client a UDP session that began before its source was denied? */
static __always_inline bool has_session(uint32_t listener, const struct opening *opening)
{
    if (opening->protocol != IPPROTO_UDP)
        return false;
    struct l4_shield_client key = {
        .listener = listener, .port = opening->from_port, .family = opening->family};
    __builtin_memcpy(key.address, opening->from, sizeof key.address);
    return bpf_map_lookup_elem(&known, &key);
}

/* ---- rates ----------------------------------------------------------------------------------- */

static __always_inline struct l4_shield_source source_of(const struct l4_shield_policy *policy,
                                                         const struct opening *opening)
{
    struct l4_shield_source source = {.listener = policy->counted_as, .family = opening->family};
    __builtin_memcpy(source.address, opening->from, sizeof source.address);
    if (opening->family == L4_SHIELD_IPV4) {
        for (int i = 0; i < 4; i++)
            source.address[i] &= policy->mask4[i];
    } else {
        for (int i = 0; i < 16; i++)
            source.address[i] &= policy->mask6[i];
    }
    return source;
}

/* Does the segment complete a handshake with a socket of this host? */
static __always_inline bool completes(const struct packet *packet, const struct opening *opening)
{
    struct bpf_sock_tuple ends = {};
    uint32_t size = sizeof ends.ipv6;
    if (opening->family == L4_SHIELD_IPV4) {
        __builtin_memcpy(&ends.ipv4.saddr, opening->from, 4);
        __builtin_memcpy(&ends.ipv4.daddr, opening->to, 4);
        ends.ipv4.sport = opening->from_port;
        ends.ipv4.dport = opening->to_port;
        size = sizeof ends.ipv4;
    } else {
        __builtin_memcpy(ends.ipv6.saddr, opening->from, 16);
        __builtin_memcpy(ends.ipv6.daddr, opening->to, 16);
        ends.ipv6.sport = opening->from_port;
        ends.ipv6.dport = opening->to_port;
    }
    struct bpf_sock *found =
        bpf_skc_lookup_tcp(packet->context, &ends, size, BPF_F_CURRENT_NETNS, 0);
    if (!found)
        return false;
    const bool waits = found->state == BPF_TCP_NEW_SYN_RECV;
    bpf_sk_release(found);
    return waits;
}

/* Counts a connection against the limit of its source. Returns whether there was a token. */
static __always_inline bool take_token(const struct l4_shield_policy *policy,
                                       const struct opening *opening)
{
    const struct l4_shield_source source = source_of(policy, opening);
    struct l4_shield_bucket *bucket = bpf_map_lookup_elem(&buckets, &source);
    if (bucket)
        return l4_shield_rate_complete(bucket, &policy->rate, bpf_ktime_get_ns());
    struct l4_shield_bucket first = {};
    const bool taken = l4_shield_rate_complete(&first, &policy->rate, bpf_ktime_get_ns());
    bpf_map_update_elem(&buckets, &source, &first, BPF_NOEXIST);
    return taken;
}

static __always_inline bool is_above_rate(const struct l4_shield_policy *policy,
                                          const struct opening *opening)
{
    if (!policy->rate.step_ns)
        return false;
    if (policy->flags & L4_SHIELD_RATES_ALONE)
        return !take_token(policy, opening);
    const struct l4_shield_source source = source_of(policy, opening);
    struct l4_shield_bucket *bucket = bpf_map_lookup_elem(&buckets, &source);
    return bucket && !l4_shield_rate_passes(bucket, &policy->rate, bpf_ktime_get_ns());
}

/* ---- the packet as a whole ------------------------------------------------------------------- */

static __always_inline void count(const struct packet *packet, uint32_t listener,
                                  enum l4_shield_reason reason, bool dry_run)
{
    const uint32_t key = listener * L4_SHIELD_ROWS + (dry_run ? L4_SHIELD_DRY : 0) + reason;
    struct l4_shield_count *row = bpf_map_lookup_elem(&counts, &key);
    if (!row)
        return;
    row->packets += packet->segments > 1 ? packet->segments : 1;
    row->bytes += packet->bytes;
}

static __always_inline bool looks_at_sessions(void)
{
    const uint32_t key = 0;
    const struct l4_shield_settings *all = bpf_map_lookup_elem(&settings, &key);
    return all && all->rates;
}

/* Judges a packet by what was read of it. Returns whether it is to be dropped. */
static __always_inline bool turns_away(const struct packet *packet, enum kind kind,
                                       const struct opening *opening)
{
    bool any;
    if (kind == OTHER || (kind == ACKNOWLEDGES && !looks_at_sessions()))
        return false;
    const struct l4_shield_place *place = find_place(opening, &any);
    if (!place || (place->interface && place->interface != packet->interface))
        return false;
    const uint32_t listener = place->listener;
    const struct l4_shield_policy *policy = bpf_map_lookup_elem(&policies, &listener);
    if (!policy)
        return false;
    if (kind == ACKNOWLEDGES) {
        if (policy->rate.step_ns && !(policy->flags & L4_SHIELD_RATES_ALONE) &&
            completes(packet, opening) && judge(policy, opening) == LET_IN)
            (void)take_token(policy, opening);
        return false;
    }
    enum l4_shield_reason reason;
    switch (judge(policy, opening)) {
    case DENIED:
        reason = L4_SHIELD_BY_ACCESS;
        break;
    case BLOCKED:
        reason = L4_SHIELD_BY_BLOCK;
        break;
    case LET_IN:
        if (!is_above_rate(policy, opening))
            return false;
        reason = L4_SHIELD_BY_RATE;
        break;
    default:
        return false;
    }
    if (has_session(listener, opening) || (any && !ends_here(packet, opening)))
        return false;
    const bool dry_run = policy->flags & L4_SHIELD_DRY_RUN;
    count(packet, listener, reason, dry_run);
    return !dry_run;
}

#endif
