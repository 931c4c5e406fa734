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
 * User space writes the rules (layout.h). shield_xdp.bpf.c does the same at an earlier place. These
 * files have a licence of their own, because the kernel lends some of its functions only to
 * programs under the GPL.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include "packet/shield_judge.bpf.h"

/* why not TC_ACT_OK: other programs of this interface are to see the packet too. */
enum { PASS = TC_ACT_UNSPEC, DROP = TC_ACT_SHOT };

/* why relative to the IP header: it is right for Ethernet, for VLANs, whose tag the kernel has
 * taken off, and for tunnels. */
static __always_inline bool copy(const struct packet *packet, uint32_t at, void *to, uint32_t bytes)
{
    return bpf_skb_load_bytes_relative(packet->context, at, to, bytes, BPF_HDR_START_NET) == 0;
}

/* Where a packet is in several pieces of memory, the kernel joins them, as its own stack would in a
 * moment. */
static __always_inline bool join(const struct packet *packet)
{
    const uint32_t bytes = packet->bytes < HEADERS_BYTES ? packet->bytes : HEADERS_BYTES;
    return bpf_skb_pull_data(packet->context, bytes) == 0;
}

SEC("tc")
int l4lb_shield(struct __sk_buff *skb)
{
    const struct packet packet = {
        .context = skb, .interface = skb->ifindex, .bytes = skb->len, .segments = skb->gso_segs};
    struct opening opening = {};
    enum kind kind = OTHER;
    /* why: other packets are for other hosts behind this interface, or for many. */
    if (skb->pkt_type != 0 /* PACKET_HOST */)
        return PASS;
    if (skb->protocol == bpf_htons(ETH_P_IP))
        kind = read_ipv4(&packet, &opening);
    else if (skb->protocol == bpf_htons(ETH_P_IPV6))
        kind = read_ipv6(&packet, &opening);
    return turns_away(&packet, kind, &opening) ? DROP : PASS;
}

char l4lb_licence[] SEC("license") = "Dual MIT/GPL";
