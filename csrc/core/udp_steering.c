#include "core/udp_steering.h"

#include <sys/socket.h>

/* Odd constants with bits all over: those of Knuth and of MurmurHash3. */
static const uint32_t MIX = 0x9e3779b1, MIX_LAST = 0x85ebca6b;

static uint32_t mixed(uint32_t hash, uint32_t word, uint32_t multiplier, int shift)
{
    const uint32_t product = (hash ^ word) * multiplier;
    return product ^ product >> shift;
}

uint32_t l4_steer_place(const struct l4_addr *client, uint32_t count, uint32_t seed, bool by_port)
{
    const int bytes = client->family == AF_INET ? 4 : 16;
    uint32_t hash = seed;
    for (int i = 0; i < bytes; i += 4) {
        const uint32_t word = (uint32_t)client->ip[i] << 24 | (uint32_t)client->ip[i + 1] << 16 |
                              (uint32_t)client->ip[i + 2] << 8 | client->ip[i + 3];
        hash = mixed(hash, word, MIX, 15);
    }
    hash = mixed(hash, by_port ? client->port : 0, MIX, 15);
    return mixed(hash, 0, MIX_LAST, 13) % count;
}
