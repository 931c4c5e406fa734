/* Sets of networks, each with a value; an address finds the value of its longest prefix.
 *
 * Off the hot path the networks become cuts: addresses from which on another value holds. Over them
 * lies a tree whose nodes split what they cover into 2^n equal parts, one for every eight to
 * sixteen cuts, until a part has sixteen at most: a leaf, whose keys (the bits that tell its cuts
 * apart) an address is compared with all at once. Long shared prefixes are skipped. So a look-up
 * reads two or three cache lines or pairs of them for a million networks (level and path
 * compression; cf. Nilsson and Karlsson, "IP-address lookup using LC-tries", 1999), and a set of
 * three networks is a few hundred bytes. A set is one piece of memory without pointers. Pure.
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
    uint8_t value; /* not 0; of two equal networks the greater value holds */
};

/* The form of a set's memory (l4_cidr and cidr.c): another number at each change of it. */
#define L4_CIDR_FORMAT 1

struct l4_cidr {
    uint32_t bytes;
    uint32_t roots[2]; /* IPv4, IPv6: links, see cidr.c */
};

/* Builds a set from networks into `room` bytes at `to` (64-byte aligned). Returns the set's bytes,
 * -ENOSPC if there is no room, or -ENOMEM. */
int64_t l4_cidr_build(const struct l4_prefix *networks, size_t count, void *to, size_t room);

/* The value of the longest prefix that addr is in; 0: none. Reads nothing outside the `room` bytes
 * at set, whatever they are: they may be those of a set that another process is replacing. */
uint8_t l4_cidr_find(const struct l4_cidr *set, size_t room, const struct l4_addr *addr);

/* Reads a list of networks, one a line, with comments from "#" on, into networks. Returns how many
 * there are (also if that is more than `most`, then only the first are stored), or -(the number of
 * the first line that is none). */
int64_t l4_cidr_parse(const char *text, size_t bytes, uint8_t value, struct l4_prefix *networks,
                      size_t most);

#endif
