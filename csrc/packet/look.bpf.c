// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Wide ranges of ports: one listening socket for each worker takes the clients of all ports.
 *
 * The kernel runs the program (sk_lookup) where it looks for the listening socket of a TCP client,
 * before its own look-up. The program names one socket of the range that the client's port is in.
 * The kernel then chooses among the sockets that share this one's port (SO_REUSEPORT), as it does
 * without the program: by a keyed hash of the client's address and port. So workers that leave, die
 * or are added need nothing here.
 *
 * A socket that is really bound to the port has its clients: the program then says nothing. It
 * cannot ask the kernel for such sockets, so user space writes them into `bound`. What the program
 * does not understand it leaves to the kernel. Connections in progress never come here.
 *
 * User space writes the maps (look.h). This file has a licence of its own, because the kernel lends
 * some of its functions only to programs under the GPL.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "packet/look.h"

enum { IPV4 = 2, IPV6 = 10 }; /* AF_INET, AF_INET6: the kernel's headers do not have them */

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, L4_LOOK_PARTS_MAX);
    __type(key, struct l4_look_part);
    __type(value, struct l4_look_place);
} parts SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_SOCKMAP);
    __uint(max_entries, L4_LOOK_SLOTS_MAX);
    __type(key, uint32_t);
    __type(value, uint32_t);
} sockets SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, L4_LOOK_BOUND_MAX);
    __type(key, struct l4_look_bound);
    __type(value, uint32_t);
} bound SEC(".maps");

static __always_inline bool is_meant(uint32_t interface, const struct bpf_sk_lookup *ctx)
{
    return interface == 0 || interface == ctx->ingress_ifindex;
}

/* Is a socket bound to this address and the client's port? */
static __always_inline bool is_bound(const struct bpf_sk_lookup *ctx,
                                     const struct l4_look_part *asked)
{
    struct l4_look_bound key = {.port = asked->port, .family = asked->family};
    __builtin_memcpy(key.address, asked->address, sizeof key.address);
    const uint32_t *interface = bpf_map_lookup_elem(&bound, &key);
    return interface && is_meant(*interface, ctx);
}

static __always_inline const struct l4_look_place *find(const struct bpf_sk_lookup *ctx,
                                                        const struct l4_look_part *asked)
{
    const struct l4_look_place *place = bpf_map_lookup_elem(&parts, asked);
    return place && is_meant(place->interface, ctx) ? place : NULL;
}

SEC("sk_lookup")
int l4lb_look(struct bpf_sk_lookup *ctx)
{
    struct l4_look_part asked = {.bits = L4_LOOK_ADDRESS_BITS + 16}, any;
    if (ctx->protocol != IPPROTO_TCP)
        return SK_PASS;
    asked.family = (uint16_t)ctx->family;
    asked.port = bpf_htons((uint16_t)ctx->local_port);
    any = asked;
    if (ctx->family == IPV4) {
        const uint32_t address = ctx->local_ip4;
        __builtin_memcpy(asked.address, &address, sizeof address);
    } else if (ctx->family == IPV6) {
        const uint32_t address[4] = {ctx->local_ip6[0], ctx->local_ip6[1], ctx->local_ip6[2],
                                     ctx->local_ip6[3]};
        __builtin_memcpy(asked.address, address, sizeof address);
    } else {
        return SK_PASS;
    }
    const struct l4_look_place *place = find(ctx, &asked);
    if (!place)
        place = find(ctx, &any);
    if (!place || is_bound(ctx, &asked) || is_bound(ctx, &any))
        return SK_PASS;
    const uint32_t slot = place->slot;
    struct bpf_sock *sock = bpf_map_lookup_elem(&sockets, &slot);
    if (!sock)
        return SK_PASS;
    bpf_sk_assign(ctx, sock, 0); /* if it fails, the kernel looks for a socket itself */
    bpf_sk_release(sock);
    return SK_PASS;
}

char l4lb_licence[] SEC("license") = "Dual MIT/GPL";
