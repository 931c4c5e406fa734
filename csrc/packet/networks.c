#include "packet/networks.h"

#include <string.h>

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

/* Networks in an array with room for `max`, and how many there would be. */
struct list {
    struct l4_shield_network *networks;
    size_t count, max;
};

/* Adds the fewest networks that cover all addresses from `first` to `last`. unit: what one address
 * is in the number. */
static void cover(struct list *list, wide first, wide last, uint16_t family, uint32_t number,
                  uint8_t value)
{
    const uint32_t width = family == AF_INET ? 32 : 128;
    const wide unit = (wide)1 << (128 - width);
    for (;;) {
        uint32_t bits = width;
        wide size = unit; /* of the network; 0: 2^128, all addresses */
        while (bits && !(first & (size * 2 - 1)) && first + (size * 2 - 1) <= (last | (unit - 1))) {
            size *= 2;
            bits--;
        }
        if (list->networks && list->count < list->max)
            list->networks[list->count] = network_of(first, bits, family, number, value);
        list->count++;
        if (!bits || first + (size - 1) >= last)
            return;
        first += size;
    }
}

/* Goes through the spans of one family. Neighbours with the same value count as one span: a set's
 * tree cuts them anywhere. */
static void add_family(struct list *list, const struct l4_cidr *set, size_t room, uint16_t family,
                       uint32_t number)
{
    const wide unit = family == AF_INET ? (wide)1 << 96 : 1;
    const wide end = (wide)-1 - (unit - 1); /* the last address */
    wide first = 0, at = 0;
    uint8_t before = 0;
    for (;;) {
        const struct l4_addr addr = address_of(at, family);
        struct l4_addr last;
        const uint8_t value = l4_cidr_span(set, room, &addr, &last);
        if (value != before && before)
            cover(list, first, at - unit, family, number, before);
        if (value != before)
            first = at;
        before = value;
        at = number_of(&last);
        if (list->count > list->max)
            return;
        if (at >= end)
            break;
        at += unit;
    }
    if (before)
        cover(list, first, end, family, number, before);
}

size_t l4_shield_networks(const struct l4_cidr *set, size_t room, uint32_t number,
                          struct l4_shield_network *networks, size_t max)
{
    struct list list = {.networks = networks, .max = max};
    add_family(&list, set, room, AF_INET, number);
    add_family(&list, set, room, AF_INET6, number);
    return list.count;
}
