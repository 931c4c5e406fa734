/* Lists of networks, and the sets built from them: a look-up says what a naive search says; and a
 * set of any bytes is looked through without a fault. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/cidr.h"

enum { MOST = 64, ROOM = 64 << 10 };

static void require(int holds)
{
    if (!holds)
        abort();
}

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static _Alignas(64) uint8_t room[ROOM];
    struct l4_prefix networks[MOST], sorted[MOST];
    struct l4_addr probe = {.family = AF_INET6};
    memcpy(probe.ip, data, bytes < 16 ? bytes : 16);
    if (bytes && data[0] == 0xff) { /* any bytes as a set */
        const size_t used = bytes < ROOM ? bytes : ROOM;
        memset(room, 0, sizeof room);
        memcpy(room, data, used);
        (void)l4_cidr_find((const struct l4_cidr *)room, used, &probe);
        return 0;
    }
    const int64_t found = l4_cidr_parse((const char *)data, bytes, 1, networks, MOST);
    if (found <= 0 || found > MOST)
        return 0;
    for (int64_t i = 0; i < found; i++)
        networks[i].value = (uint8_t)(1 + i % 3);
    memcpy(sorted, networks, sizeof sorted);
    const int64_t size = l4_cidr_build(sorted, (size_t)found, room, sizeof room);
    require(size > 0 && size <= ROOM);
    for (int64_t i = -1; i < found; i++) {
        const struct l4_addr addr = i < 0 ? probe : networks[i].net;
        require(l4_cidr_find((const struct l4_cidr *)room, (size_t)size, &addr) ==
                naive(networks, (size_t)found, &addr));
    }
    return 0;
}
