/* Look-ups in a set of networks by the thousand, and as many loads from memory: the loops of
 * bench/cidr.py. Built over csrc/ when it runs.
 */
#include <stdbool.h>

#include "base/random.h"
#include "core/cidr.h"

/* How many of the addresses have a value. in_turn: which address comes next is known only from what
 * the one before has found, so that no two look-ups overlap. */
uint32_t finds(const struct l4_cidr *set, const struct l4_addr *addresses, uint32_t count,
               bool in_turn)
{
    uint32_t found = 0;
    uint8_t last = 0;
    for (uint32_t i = 0; i < count; i++) {
        /* why: values are far below 128, which only we know: the processor must wait. */
        const uint32_t at = in_turn ? i + (last >> 7) : i;
        last = l4_cidr_find(set, set->bytes, &addresses[at]);
        found += last != 0;
    }
    return found;
}

/* So many loads from random places of `words` numbers, each of which says where the next is.
 * Returns the last. */
uint64_t loads(const uint64_t *memory, uint64_t words, uint32_t count)
{
    uint64_t state = 1, last = 0;
    for (uint32_t i = 0; i < count; i++)
        last = memory[(l4_random(&state) + last) % words];
    return last;
}
