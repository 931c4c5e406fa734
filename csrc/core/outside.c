#include "core/outside.h"

#include <string.h>

static const char *const words[L4_OUTSIDE_COUNT] = {
#define X(id, word) [L4_OUTSIDE_##id] = word,
    L4_OUTSIDES(X)
#undef X
};

const char *l4_outside_word(unsigned outside)
{
    return outside < L4_OUTSIDE_COUNT ? words[outside] : "unknown";
}

struct network {
    uint8_t ip[16];
    uint8_t bits;
    uint8_t outside; /* enum l4_outside */
};

static const struct network networks4[] = {
    {{0}, 8, L4_OUTSIDE_UNSPECIFIED},        {{10}, 8, L4_OUTSIDE_PRIVATE},
    {{100, 64}, 10, L4_OUTSIDE_SHARED},      {{127}, 8, L4_OUTSIDE_LOOPBACK},
    {{169, 254}, 16, L4_OUTSIDE_LINK_LOCAL}, {{172, 16}, 12, L4_OUTSIDE_PRIVATE},
    {{192, 0, 0}, 24, L4_OUTSIDE_PROTOCOL},  {{192, 168}, 16, L4_OUTSIDE_PRIVATE},
    {{198, 18}, 15, L4_OUTSIDE_BENCHMARK},   {{224}, 4, L4_OUTSIDE_MULTICAST},
    {{240}, 4, L4_OUTSIDE_RESERVED},
};

/* Networks that have an IPv4 address in their addresses. */
static const struct inner {
    uint8_t ip[16];
    uint8_t bits;
    uint8_t at;       /* the inner address's first byte */
    uint8_t inverted; /* of another inner address, whose bits are inverted; 0: there is none */
} inners[] = {
    {{[10] = 0xff, [11] = 0xff}, 96, 12, 0},                    /* mapped (RFC 4291, 2.5.5.2) */
    {{[1] = 0x64, [2] = 0xff, [3] = 0x9b}, 96, 12, 0},          /* NAT64 (RFC 6052, 2.1) */
    {{[0] = 0x20, [1] = 0x02}, 16, 2, 0},                       /* 6to4 (RFC 3056, 2) */
    {{[0] = 0x20, [1] = 0x01, [2] = 0x00, [3] = 0}, 32, 4, 12}, /* Teredo (RFC 4380, 4) */
};

static const struct network networks6[] = {
    {{0}, 128, L4_OUTSIDE_UNSPECIFIED},
    {{[15] = 1}, 128, L4_OUTSIDE_LOOPBACK},
    {{[1] = 0x64, [2] = 0xff, [3] = 0x9b, [5] = 1}, 48, L4_OUTSIDE_TRANSLATED},
    {{0xfc}, 7, L4_OUTSIDE_PRIVATE},
    {{0xfe, 0x80}, 10, L4_OUTSIDE_LINK_LOCAL},
    {{0xfe, 0xc0}, 10, L4_OUTSIDE_PRIVATE},
    {{0xff}, 8, L4_OUTSIDE_MULTICAST},
    {{0x20, 0x01}, 23, L4_OUTSIDE_PROTOCOL},
    {{0x20}, 3, L4_OUTSIDE_YES},
};

static bool begins(const uint8_t *ip, const uint8_t *net, uint32_t bits)
{
    const uint32_t bytes = bits / 8, rest = bits % 8;
    return !memcmp(ip, net, bytes) && (!rest || !((ip[bytes] ^ net[bytes]) >> (8 - rest)));
}

static enum l4_outside search(const uint8_t *ip, const struct network *networks, size_t count,
                              enum l4_outside otherwise)
{
    for (size_t i = 0; i < count; i++) {
        if (begins(ip, networks[i].ip, networks[i].bits))
            return (enum l4_outside)networks[i].outside;
    }
    return otherwise;
}

static enum l4_outside judge4(const uint8_t *ip)
{
    return search(ip, networks4, sizeof networks4 / sizeof *networks4, L4_OUTSIDE_YES);
}

static enum l4_outside judge_inner(const uint8_t *ip, const struct inner *inner)
{
    uint8_t other[4];
    const enum l4_outside outside = judge4(ip + inner->at);
    if (outside || !inner->inverted)
        return outside;
    for (uint32_t i = 0; i < sizeof other; i++)
        other[i] = (uint8_t)~ip[inner->inverted + i];
    return judge4(other);
}

static enum l4_outside judge6(const uint8_t *ip)
{
    for (size_t i = 0; i < sizeof inners / sizeof *inners; i++) {
        if (begins(ip, inners[i].ip, inners[i].bits))
            return judge_inner(ip, &inners[i]);
    }
    return search(ip, networks6, sizeof networks6 / sizeof *networks6, L4_OUTSIDE_RESERVED);
}

enum l4_outside l4_outside_judge(const struct l4_addr *addr)
{
    if (addr->family == AF_INET)
        return judge4(addr->ip);
    return addr->family == AF_INET6 ? judge6(addr->ip) : L4_OUTSIDE_NO_IP;
}
