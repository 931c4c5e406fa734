// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The shield: turns clients away in the kernel that a worker would turn away without a word.
 *
 * The program runs for each packet that comes in at an interface (tc ingress), before the host's
 * own stack. It decides about packets that begin something with a listener: a TCP SYN, and a UDP
 * datagram of a client that has no session. All else passes: sessions in progress go on, as they
 * do when a worker denies a source. What the program does not understand passes too, and the
 * worker decides: a fragment, a packet that is cut off, an IPv6 header that it does not know. So
 * the program is never stricter than the workers. tests/unit/packet has a naive twin of it.
 *
 * User space writes the rules (layout.h). This file has a licence of its own, because the kernel
 * lends some of its functions only to programs under the GPL.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "packet/layout.h"

/* why not TC_ACT_OK: other programs of this interface are to see the packet too. */
enum { PASS = TC_ACT_UNSPEC, DROP = TC_ACT_SHOT };

/* ---- maps ------------------------------------------------------------------------------------ */

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

/* ---- parsing --------------------------------------------------------------------------------- */

/* A packet that begins something. */
struct opening {
    uint8_t from[16], to[16];
    uint16_t from_port, to_port;
    uint8_t family, protocol;
};

/* The parts of headers that are needed. why not the kernel's headers: some of them need a libc. */
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

struct tcp_start {
    uint16_t from_port, to_port;
    uint8_t numbers[8];
    uint8_t words, flags;
};

struct udp {
    uint16_t from_port, to_port, bytes, sum;
};

enum { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04, TCP_ACK = 0x10 };
enum { IPV4_OFFSET = 0x1fff, IPV6_OFFSET = 0xfff8 };
enum { NEXT_HOP = 0, NEXT_FRAGMENT = 44, NEXT_DESTINATION = 60 };
enum { HEADERS_BYTES = 128 }; /* as many bytes are put in one piece if need be */

/* Copies bytes from an offset behind the start of the IP header. why relative to that: it is right
 * for Ethernet, for VLANs, whose tag the kernel has taken off, and for tunnels. Returns whether the
 * packet is long enough. */
static __always_inline bool copy(struct __sk_buff *skb, uint32_t at, void *to, uint32_t bytes)
{
    return bpf_skb_load_bytes_relative(skb, at, to, bytes, BPF_HDR_START_NET) == 0;
}

/* Reads the start of a packet. Where it is in several pieces of memory, the kernel joins them, as
 * its own stack would in a moment. */
static __always_inline bool copy_first(struct __sk_buff *skb, void *to, uint32_t bytes)
{
    if (copy(skb, 0, to, bytes))
        return true;
    const uint32_t length = skb->len;
    return bpf_skb_pull_data(skb, length < HEADERS_BYTES ? length : HEADERS_BYTES) == 0 &&
           copy(skb, 0, to, bytes);
}

/* Reads the ports. Returns whether the packet begins something. */
static __always_inline bool read_ports(struct __sk_buff *skb, uint32_t at, uint8_t protocol,
                                       struct opening *opening)
{
    opening->protocol = protocol;
    if (protocol == IPPROTO_UDP) {
        struct udp udp;
        if (!copy(skb, at, &udp, sizeof udp))
            return false;
        opening->from_port = udp.from_port;
        opening->to_port = udp.to_port;
        return true;
    }
    struct tcp_start tcp;
    if (protocol != IPPROTO_TCP || !copy(skb, at, &tcp, sizeof tcp))
        return false;
    opening->from_port = tcp.from_port;
    opening->to_port = tcp.to_port;
    return (tcp.flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
}

static __always_inline bool read_ipv4(struct __sk_buff *skb, struct opening *opening)
{
    struct ipv4 ip;
    if (!copy_first(skb, &ip, sizeof ip) || ip.version_and_words >> 4 != 4)
        return false;
    const uint32_t words = ip.version_and_words & 15;
    if (words < sizeof ip / 4 || ip.fragment & bpf_htons(IPV4_OFFSET))
        return false;
    __builtin_memcpy(opening->from, ip.from, sizeof ip.from);
    __builtin_memcpy(opening->to, ip.to, sizeof ip.to);
    opening->family = L4_SHIELD_IPV4;
    return read_ports(skb, words * 4, ip.protocol, opening);
}

static __always_inline bool read_ipv6(struct __sk_buff *skb, struct opening *opening)
{
    struct ipv6 ip;
    if (!copy_first(skb, &ip, sizeof ip) || ip.version >> 4 != 6)
        return false;
    __builtin_memcpy(opening->from, ip.from, sizeof ip.from);
    __builtin_memcpy(opening->to, ip.to, sizeof ip.to);
    opening->family = L4_SHIELD_IPV6;
    uint32_t at = sizeof ip;
    uint8_t next = ip.next;
    for (int i = 0; i < L4_SHIELD_HEADERS_MAX; i++) {
        uint8_t header[4]; /* next, length, or of a fragment: next, nothing, offset */
        if (next != NEXT_HOP && next != NEXT_FRAGMENT && next != NEXT_DESTINATION)
            break;
        if (!copy(skb, at, header, sizeof header))
            return false;
        if (next == NEXT_FRAGMENT && (header[2] << 8 | header[3]) & IPV6_OFFSET)
            return false;
        at += next == NEXT_FRAGMENT ? 8 : (header[1] + 1) * 8;
        next = header[0];
    }
    return read_ports(skb, at, next, opening);
}

/* ---- judging --------------------------------------------------------------------------------- */

/* Is the packet for this host? A packet to a port of a listener on any address may be one that this
 * host only forwards. */
static __always_inline bool ends_here(struct __sk_buff *skb, const struct opening *opening)
{
    struct bpf_fib_lookup way = {.l4_protocol = opening->protocol, .ifindex = skb->ifindex};
    if (opening->family == L4_SHIELD_IPV4) {
        way.family = 2; /* AF_INET */
        __builtin_memcpy(&way.ipv4_src, opening->from, 4);
        __builtin_memcpy(&way.ipv4_dst, opening->to, 4);
    } else {
        way.family = 10; /* AF_INET6 */
        __builtin_memcpy(way.ipv6_src, opening->from, 16);
        __builtin_memcpy(way.ipv6_dst, opening->to, 16);
    }
    const long found = bpf_fib_lookup(skb, &way, sizeof way, 0);
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

/* Returns why the source is turned away (enum l4_shield_reason); L4_SHIELD_REASONS: it is not. */
static __always_inline enum l4_shield_reason judge(const struct l4_shield_policy *policy,
                                                   const struct opening *opening)
{
    if (find(policy->proxies, opening))
        return L4_SHIELD_REASONS;
    if (find(policy->blocks, opening) == L4_SHIELD_BLOCKED)
        return L4_SHIELD_BY_BLOCK;
    if (!(policy->flags & L4_SHIELD_JUDGES_ACCESS) || find(policy->speakers, opening))
        return L4_SHIELD_REASONS;
    uint32_t found = find(policy->rules, opening);
    if (!found)
        found = find(policy->access, opening);
    const bool denied = found ? found == L4_SHIELD_DENIED : policy->flags & L4_SHIELD_OTHERS_DENIED;
    return denied ? L4_SHIELD_BY_ACCESS : L4_SHIELD_REASONS;
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

static __always_inline void count(struct __sk_buff *skb, uint32_t listener,
                                  enum l4_shield_reason reason, bool dry_run)
{
    const uint32_t key = listener * L4_SHIELD_ROWS + (dry_run ? L4_SHIELD_DRY : 0) + reason;
    struct l4_shield_count *row = bpf_map_lookup_elem(&counts, &key);
    if (!row)
        return;
    row->packets += skb->gso_segs > 1 ? skb->gso_segs : 1;
    row->bytes += skb->len;
}

SEC("tc")
int l4lb_shield(struct __sk_buff *skb)
{
    struct opening opening = {};
    bool any;
    /* why: other packets are for other hosts behind this interface, or for many. */
    if (skb->pkt_type != 0 /* PACKET_HOST */)
        return PASS;
    if (skb->protocol == bpf_htons(ETH_P_IP)) {
        if (!read_ipv4(skb, &opening))
            return PASS;
    } else if (skb->protocol != bpf_htons(ETH_P_IPV6) || !read_ipv6(skb, &opening)) {
        return PASS;
    }
    const struct l4_shield_place *place = find_place(&opening, &any);
    if (!place || (place->interface && place->interface != skb->ifindex))
        return PASS;
    const uint32_t listener = place->listener;
    const struct l4_shield_policy *policy = bpf_map_lookup_elem(&policies, &listener);
    if (!policy)
        return PASS;
    const enum l4_shield_reason reason = judge(policy, &opening);
    if (reason == L4_SHIELD_REASONS || has_session(listener, &opening))
        return PASS;
    if (any && !ends_here(skb, &opening))
        return PASS;
    const bool dry_run = policy->flags & L4_SHIELD_DRY_RUN;
    count(skb, listener, reason, dry_run);
    return dry_run ? PASS : DROP;
}

char l4lb_licence[] SEC("license") = "Dual MIT/GPL";
