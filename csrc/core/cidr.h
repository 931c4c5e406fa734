/* Sets of networks, each with a value. A look-up finds the value of the longest prefix of an
 * address.
 *
 * Off the hot path the networks become cuts: the addresses at which the value changes. A tree
 * lies over the cuts. Each of its nodes splits its range into 2^n equal parts, one for every
 * eight to sixteen cuts, until a part has at most sixteen cuts. Such a part is a leaf, whose keys
 * (the bits in which its cuts differ) are compared with an address all at once. Long shared
 * prefixes are skipped. Among a million networks a look-up reads two or three cache lines or
 * pairs of lines (level and path compression; cf. Nilsson and Karlsson, "IP-address lookup using
 * LC-tries", 1999). A set of three networks has a few hundred bytes. A set is one piece of memory
 * without pointers. The code is pure.
 */
#ifndef L4_CORE_CIDR_H
#define L4_CORE_CIDR_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/bounds.h"

struct l4_prefix {
    struct l4_addr net; /* AF_INET or AF_INET6; bits after the prefix are ignored */
    uint8_t bits;
    uint8_t value; /* not 0; of two equal networks the greater value counts */
};

/* The format of a set's memory (l4_cidr and cidr.c). Increase it with each change of the
 * format. */
#define L4_CIDR_FORMAT 1

struct l4_cidr {
    uint32_t bytes;
    uint32_t roots[2]; /* IPv4, IPv6: links, as in cidr.c */
};

/* Builds a set from networks into `room` bytes at `to` (64-byte aligned). Returns the size of the
 * set, -ENOSPC if there is no room, or -ENOMEM. */
int64_t l4_cidr_build(const struct l4_prefix *networks, size_t count, void *to, size_t room);

/* Returns the value of the longest prefix of addr; 0: none. It reads nothing outside the `room`
 * bytes at set, whatever they contain: another process may be replacing the set. */
uint8_t l4_cidr_find(const struct l4_cidr *set, size_t room, const struct l4_addr *addr);

/* Returns the value of addr as l4_cidr_find does, with *last set to an address up to which all have
 * that value: who goes on behind it meets every network of the set. For the process that builds
 * sets: the set must be one of l4_cidr_build. */
uint8_t l4_cidr_span(const struct l4_cidr *set, size_t room, const struct l4_addr *addr,
                     struct l4_addr *last);

/* Reads a list of networks, one a line, with comments that begin with "#", into networks. Returns
 * the number of networks (also if it exceeds `max`; then only the first ones are stored), or
 * -(number of the first invalid line). */
int64_t l4_cidr_parse(const char *text, size_t bytes, uint8_t value, struct l4_prefix *networks,
                      size_t max);

#endif
