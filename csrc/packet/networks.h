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

/* How far a set has been gone through. */
struct l4_shield_walk {
    struct l4_addr at;   /* the next address; family 0: the end */
    struct l4_addr from; /* where the span with `value` began */
    uint32_t number;     /* of the set, in the maps */
    uint8_t value;
};

enum { L4_SHIELD_WALK_MIN = 256 }; /* networks that one span may take */

struct l4_shield_walk l4_shield_walk_begin(uint32_t number);

/* Writes the next networks that stand for a set as workers have it: for each address they give the
 * value that the set gives. max: twice L4_SHIELD_WALK_MIN or more. It does not look at more than
 * `max` spans, and may return 0 before the end. */
size_t l4_shield_walk_next(struct l4_shield_walk *walk, const struct l4_cidr *set, size_t room,
                           struct l4_shield_network *networks, size_t max);

#endif
