/* Sets of domain names, millions of them, in which a host and all its parents are looked up.
 *
 * Of a name only a keyed hash of 62 bits is kept, its mark, with two flags. Marks lie in order,
 * each at the place that it has by its size among twice as many places as there are marks, or as
 * close behind as there is room. So a set has 16 bytes a name, a look-up reads a few places that
 * are next to each other, and it ends at the first mark that is greater. Two names have one mark
 * with a probability of 2^-62. The key is the set's own and random: nobody can choose names that
 * collide.
 *
 * A set is one piece of memory without pointers. Another process makes it and may be taken over:
 * what is read of its head is checked and copied once, and no place is believed. Pure, but for
 * the memory of a draft.
 */
#ifndef L4_CORE_NAMES_H
#define L4_CORE_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "base/bounds.h"
#include "base/hash.h"

/* The format of a set's memory. Increase it with each change of the format or of marks. */
#define L4_NAMES_FORMAT 0x4e6d0001u

enum l4_name_flags {
    L4_NAME_BELOW = 1 << 0, /* all names below are meant too */
    L4_NAME_EXCEPT = 1 << 1 /* neither the name nor any below is in the set, whatever else is */
};

/* The beginning of a set's memory; the places follow it. */
struct l4_names_head {
    uint32_t format;
    uint32_t names;
    uint32_t places;
    uint16_t run; /* places that a look-up reads at most */
    uint8_t labels_min, labels_max;
    struct l4_hash_key key;
    uint8_t unused[32];
};
_Static_assert(sizeof(struct l4_names_head) == 64, "places begin with a cache line");

/* A set as a reader has it: its head in memory of the reader's own. */
struct l4_names {
    const uint64_t *places;
    struct l4_names_head head;
};

/* Reads the head of a set in `bytes` bytes of memory, 8-byte aligned. Returns 0, or -EINVAL: it is
 * no set. */
__attribute__((warn_unused_result)) int l4_names_open(struct l4_names *set, const void *memory,
                                                      size_t bytes);

/* Looks up a host in lower case (core/target.h) and its parents. Returns how many bytes at the end
 * of the host are the longest name of the set that means it; 0: it is not in the set. */
uint32_t l4_names_find(const struct l4_names *set, const char *host, size_t bytes);

/* Names that become a set. */
struct l4_names_draft {
    struct l4_hash_key key;
    uint64_t *marks;
    size_t count, room;
    uint8_t labels_min, labels_max;
};

void l4_names_begin(struct l4_names_draft *draft, const struct l4_hash_key *key);

/* Adds a name in the form of l4_names_find. flags: enum l4_name_flags. Returns 0, -EINVAL: it has
 * too many labels, or one that is empty or too long; -E2BIG: there are too many names; -ENOMEM. */
__attribute__((warn_unused_result)) int l4_names_add(struct l4_names_draft *draft, const char *name,
                                                     size_t bytes, uint32_t flags);

/* Puts the names in order, without those that are there twice. Returns the bytes of the set, or
 * -ENOSPC: too many marks lie too close, and another key is needed. */
__attribute__((warn_unused_result)) int64_t l4_names_size(struct l4_names_draft *draft);

/* Writes the set whose size l4_names_size has returned; no name was added since. */
void l4_names_write(const struct l4_names_draft *draft, void *to);

void l4_names_end(struct l4_names_draft *draft);

#endif
