#include "packet/networks.h"

#include <string.h>

#include "base/assert.h"

typedef unsigned __int128 wide; /* an address as a number, in its upper bits */

static wide number_of(const struct l4_addr *addr)
{
    wide n = 0;
    for (int i = 0; i < 16; i++)
        n = n << 8 | addr->ip[i];
    return n;
}

static struct l4_addr address_of(wide n, uint16_t family)
{
    struct l4_addr addr = {.family = family};
    for (int i = 0; i < 16; i++)
        addr.ip[i] = (uint8_t)(n >> (120 - 8 * i));
    return addr;
}

static struct l4_shield_network network_of(wide first, uint32_t bits, uint16_t family,
                                           uint32_t number, uint8_t value)
{
    const struct l4_addr addr = address_of(first, family);
    struct l4_shield_network network = {.value = value};
    if (family == AF_INET) {
        network.family = L4_SHIELD_IPV4;
        network.key.four = (struct l4_shield_network4){L4_SHIELD_SET_BITS + bits, number, {0}};
        memcpy(network.key.four.address, addr.ip, sizeof network.key.four.address);
    } else {
        network.family = L4_SHIELD_IPV6;
        network.key.six = (struct l4_shield_network6){L4_SHIELD_SET_BITS + bits, number, {0}};
        memcpy(network.key.six.address, addr.ip, sizeof network.key.six.address);
    }
    return network;
}

/* Writes the fewest networks that cover all addresses from `first` to `last`. unit: what one
 * address is in the number. Returns how many they are. */
static size_t cover(struct l4_shield_network *networks, wide first, wide last, uint16_t family,
                    uint32_t number, uint8_t value)
{
    const uint32_t width = family == AF_INET ? 32 : 128;
    const wide unit = (wide)1 << (128 - width);
    size_t count = 0;
    for (;;) {
        uint32_t bits = width;
        wide size = unit; /* of the network; 0: 2^128, all addresses */
        while (bits && !(first & (size * 2 - 1)) && first + (size * 2 - 1) <= (last | (unit - 1))) {
            size *= 2;
            bits--;
        }
        L4_ASSERT(count < L4_SHIELD_WALK_MIN);
        networks[count++] = network_of(first, bits, family, number, value);
        if (!bits || first + (size - 1) >= last)
            return count;
        first += size;
    }
}

struct l4_shield_walk l4_shield_walk_begin(uint32_t number)
{
    return (struct l4_shield_walk){.at.family = AF_INET, .from.family = AF_INET, .number = number};
}

/* Looks at the span at walk->at. Neighbours with the same value count as one span: a set's tree
 * cuts them anywhere. Returns how many networks end here. */
static size_t walk_span(struct l4_shield_walk *walk, const struct l4_cidr *set, size_t room,
                        struct l4_shield_network *networks)
{
    const uint16_t family = walk->at.family;
    const wide unit = family == AF_INET ? (wide)1 << 96 : 1;
    const wide end = (wide)-1 - (unit - 1); /* the last address */
    const wide at = number_of(&walk->at);
    struct l4_addr last;
    const uint8_t value = l4_cidr_span(set, room, &walk->at, &last);
    size_t count = 0;
    if (value != walk->value) {
        if (walk->value)
            count = cover(networks, number_of(&walk->from), at - unit, family, walk->number,
                          walk->value);
        walk->from = walk->at;
        walk->value = value;
    }
    if (number_of(&last) < end) {
        walk->at = address_of(number_of(&last) + unit, family);
        return count;
    }
    if (value)
        count += cover(networks + count, number_of(&walk->from), end, family, walk->number, value);
    walk->value = 0;
    walk->at = walk->from = address_of(0, family == AF_INET ? AF_INET6 : 0);
    return count;
}

size_t l4_shield_walk_next(struct l4_shield_walk *walk, const struct l4_cidr *set, size_t room,
                           struct l4_shield_network *networks, size_t max)
{
    size_t count = 0;
    L4_ASSERT(max >= 2 * L4_SHIELD_WALK_MIN);
    for (size_t spans = 0; spans < max; spans++) {
        if (!walk->at.family || max - count < 2 * L4_SHIELD_WALK_MIN)
            break;
        count += walk_span(walk, set, room, networks + count);
    }
    return count;
}
