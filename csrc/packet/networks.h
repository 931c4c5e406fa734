/* A set of networks as workers have it (core/cidr.h), as networks for the maps of the shield: none
 * of them lies in another one with the same value. Pure. */
#ifndef L4_PACKET_NETWORKS_H
#define L4_PACKET_NETWORKS_H

#include <stddef.h>
#include <stdint.h>

#include "core/cidr.h"
#include "packet/layout.h"

/* A network of a set, and its value. */
struct l4_shield_network {
    uint32_t value;
    uint32_t family; /* L4_SHIELD_IPV4, L4_SHIELD_IPV6 */
    union {
        struct l4_shield_network4 four;
        struct l4_shield_network6 six;
    } key;
};

/* Writes the networks that stand for a set as workers have it: for each address they give the value
 * that the set gives. networks: NULL, they are only counted. Returns their number; a number above
 * `max` means that there are more. */
size_t l4_shield_networks(const struct l4_cidr *set, size_t room, uint32_t number,
                          struct l4_shield_network *networks, size_t max);

#endif
