// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The shield (shield.bpf.c) as a program of XDP: it runs before the kernel has made anything of a
 * packet, in the driver of the interface if that can do it.
 *
 * The packet is as it came off the wire. So this program looks for the IP header itself, behind one
 * tag of a VLAN, and the listener of an interface on top of this one (a VLAN, a bond) is not its
 * own: such packets pass.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include "packet/shield_judge.bpf.h"

enum { PASS = XDP_PASS, DROP = XDP_DROP };

struct ethernet {
    uint8_t to[6], from[6];
    uint16_t kind;
};

struct tag {
    uint16_t number, kind;
};

static __always_inline bool copy(const struct packet *packet, uint32_t at, void *to, uint32_t bytes)
{
    return bpf_xdp_load_bytes(packet->context, packet->start + at, to, bytes) == 0;
}

/* Pieces of memory are no hindrance to bpf_xdp_load_bytes. */
static __always_inline bool join(const struct packet *packet)
{
    (void)packet;
    return false;
}

SEC("xdp")
int l4lb_shield(struct xdp_md *frame)
{
    struct packet packet = {
        .context = frame, .interface = frame->ingress_ifindex, .start = sizeof(struct ethernet)};
    struct ethernet outer;
    struct opening opening = {};
    enum kind kind = OTHER;
    if (bpf_xdp_load_bytes(frame, 0, &outer, sizeof outer) || outer.to[0] & 1 /* to many */)
        return PASS;
    uint16_t inner = outer.kind;
    if (inner == bpf_htons(ETH_P_8021Q) || inner == bpf_htons(ETH_P_8021AD)) {
        struct tag tag;
        if (bpf_xdp_load_bytes(frame, sizeof outer, &tag, sizeof tag))
            return PASS;
        inner = tag.kind;
        packet.start += sizeof tag;
    }
    packet.bytes = (uint32_t)bpf_xdp_get_buff_len(frame);
    if (inner == bpf_htons(ETH_P_IP))
        kind = read_ipv4(&packet, &opening);
    else if (inner == bpf_htons(ETH_P_IPV6))
        kind = read_ipv6(&packet, &opening);
    return turns_away(&packet, kind, &opening) ? DROP : PASS;
}

char l4lb_licence[] SEC("license") = "Dual MIT/GPL";
