/* Lists of networks, and the sets built from them: a look-up gives the answer of a naive search,
 * and a look-up in a set of random bytes does no harm. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/cidr.h"
#include "require.h"

enum { MOST = 64, ROOM = 64 << 10 };

static uint8_t naive(const struct l4_prefix *networks, size_t count, const struct l4_addr *addr)
{
    int bits = -1;
    uint8_t value = 0;
    for (size_t i = 0; i < count; i++) {
        const struct l4_addr net = l4_addr_network(&networks[i].net, networks[i].bits);
        if (!l4_addr_within(addr, &net, networks[i].bits) || networks[i].bits < bits)
            continue;
        if (networks[i].bits > bits || networks[i].value > value)
            value = networks[i].value;
        bits = networks[i].bits;
    }
    return value;
}

/* Returns the last address of a network. */
static struct l4_addr last_of(const struct l4_prefix *network)
{
    struct l4_addr addr = network->net;
    for (uint32_t bit = network->bits; bit < (addr.family == AF_INET6 ? 128 : 32); bit++)
        addr.ip[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
    return addr;
}

/* Returns the next address; after the last address comes the first. */
static struct l4_addr after(struct l4_addr addr)
{
    for (int at = addr.family == AF_INET6 ? 15 : 3; at >= 0 && !++addr.ip[at]; at--)
        ;
    return addr;
}

/* Looks up in a copy that ends with the set, so that a sanitizer sees a read past its end. */
static uint8_t find_within(const void *set, size_t bytes, const struct l4_addr *addr)
{
    void *copy = malloc(bytes);
    REQUIRE(copy != NULL);
    memcpy(copy, set, bytes);
    const uint8_t value = l4_cidr_find(copy, bytes, addr);
    free(copy);
    return value;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static _Alignas(64) uint8_t room[ROOM];
    struct l4_prefix networks[MOST];
    struct l4_addr probe = {.family = AF_INET6};
    memcpy(probe.ip, data, bytes < 16 ? bytes : 16);
    if (bytes && data[0] == 0xff) { /* random bytes as a set */
        (void)find_within(data, bytes, &probe);
        return 0;
    }
    const int64_t found = l4_cidr_parse((const char *)data, bytes, 1, networks, MOST);
    if (found <= 0 || found > MOST)
        return 0;
    for (int64_t i = 0; i < found; i++)
        networks[i].value = (uint8_t)(1 + i % 3);
    const int64_t size = l4_cidr_build(networks, (size_t)found, room, sizeof room);
    REQUIRE(size > 0 && size <= ROOM);
    for (int64_t i = 0; i < found; i++) {
        const struct l4_addr last = last_of(&networks[i]);
        const struct l4_addr probes[] = {probe, networks[i].net, last, after(last)};
        for (size_t j = i ? 1 : 0; j < sizeof probes / sizeof *probes; j++)
            REQUIRE(find_within(room, (size_t)size, &probes[j]) ==
                    naive(networks, (size_t)found, &probes[j]));
    }
    return 0;
}
