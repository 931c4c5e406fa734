/* Sets of networks, each with a value; an address finds the value of its longest prefix.
 *
 * Off the hot path the networks become disjoint intervals: a sorted array of where each begins and
 * one value byte for each. Over the array lie levels of every 16th key (8th for IPv6), so that a
 * look-up reads one block of one or two cache lines a level, five for a million IPv4 networks,
 * whatever the networks are (a static B+ tree; cf. Rao and Ross, "Making B+-trees cache conscious
 * in main memory", SIGMOD 2000). A set is one piece of memory without pointers. Pure.
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

struct l4_cidr_tree {
    uint32_t count; /* intervals; 0: no network of this family */
    uint32_t levels;
    uint32_t keys_at[L4_CIDR_LEVELS]; /* from the set's start; level 0 has every key */
    uint32_t blocks[L4_CIDR_LEVELS];
    uint32_t values_at;
};

struct l4_cidr {
    uint32_t bytes;
    struct l4_cidr_tree trees[2]; /* IPv4, IPv6 */
};

/* Builds a set from networks, which it sorts, into `room` bytes at `to` (64-byte aligned). Returns
 * the set's bytes, -ENOSPC if there is no room, or -ENOMEM. */
int64_t l4_cidr_build(struct l4_prefix *networks, size_t count, void *to, size_t room);

/* The value of the longest prefix that addr is in; 0: none. Reads nothing outside the `room` bytes
 * at set, whatever they are: they may be those of a set that another process is replacing. */
uint8_t l4_cidr_find(const struct l4_cidr *set, size_t room, const struct l4_addr *addr);

/* Reads a list of networks, one a line, with comments from "#" on, into networks. Returns how many
 * there are (also if that is more than `most`, then only the first are stored), or -(the number of
 * the first line that is none). */
int64_t l4_cidr_parse(const char *text, size_t bytes, uint8_t value, struct l4_prefix *networks,
                      size_t most);

#endif
