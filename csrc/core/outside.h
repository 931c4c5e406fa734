/* Whether an address is outside: may a forward proxy connect there for a client, if nobody has said
 * otherwise?
 *
 * A client that may name any host names one that only the proxy reaches (server-side request
 * forgery). So what is not known to be a public address is inside: of IPv4 the networks below, of
 * IPv6 all but 2000::/3 (RFC 4291, 2.4, and IANA's registries of special-purpose addresses). An
 * IPv4 address inside an IPv6 address is judged too, because a gateway on the way would take it
 * out. Pure. It is asked about the address that is connected to, not about a name.
 */
#ifndef L4_CORE_OUTSIDE_H
#define L4_CORE_OUTSIDE_H

#include "base/addr.h"

#define L4_OUTSIDES(X)                                                                             \
    X(YES, "outside")                                                                              \
    X(NO_IP, "no_ip")             /* a unix socket, or no address */                               \
    X(UNSPECIFIED, "unspecified") /* 0.0.0.0/8, ::: connects reach this host (RFC 1122) */         \
    X(LOOPBACK, "loopback")       /* 127.0.0.0/8, ::1 */                                           \
    X(PRIVATE, "private")         /* RFC 1918; fc00::/7 (RFC 4193); fec0::/10 (RFC 3879) */        \
    X(SHARED, "shared")           /* 100.64.0.0/10, behind a carrier's NAT (RFC 6598) */           \
    X(LINK_LOCAL, "link_local")   /* 169.254.0.0/16, fe80::/10; metadata of clouds */              \
    X(PROTOCOL, "protocol")       /* 192.0.0.0/24, 2001::/23 but Teredo (RFC 6890) */              \
    X(BENCHMARK, "benchmark")     /* 198.18.0.0/15 (RFC 2544) */                                   \
    X(MULTICAST, "multicast")     /* 224.0.0.0/4, ff00::/8 */                                      \
    X(RESERVED, "reserved")       /* 240.0.0.0/4, broadcast; the rest of IPv6 */                   \
    X(TRANSLATED, "translated")   /* 64:ff9b:1::/48, a network's own NAT64 (RFC 8215) */

enum l4_outside {
#define X(id, word) L4_OUTSIDE_##id,
    L4_OUTSIDES(X)
#undef X
        L4_OUTSIDE_COUNT
};

/* Returns the word that users see; "unknown" for an invalid number. */
const char *l4_outside_word(unsigned outside);

/* Returns L4_OUTSIDE_YES, or why the address is inside: of an address in an address, the reason of
 * the inner one. */
enum l4_outside l4_outside_judge(const struct l4_addr *addr);

#endif
