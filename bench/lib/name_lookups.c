/* Look-ups of hosts in a set of names by the thousand: the loop of bench/lib/name_lists.py. Built
 * over csrc/ when it runs.
 */
#include <errno.h>

#include "core/names.h"

/* Looks hosts up, which lie one behind the other, each with its length before it in one byte.
 * Returns how many are in the set, or -EINVAL: the memory has no set. Which host comes next is
 * known only from what the one before has found, so that no two look-ups overlap. */
int64_t names_found(const void *memory, size_t bytes, const uint8_t *hosts, uint32_t count)
{
    struct l4_names set;
    int64_t found = 0;
    uint32_t last = 0;
    if (l4_names_open(&set, memory, bytes))
        return -EINVAL;
    for (uint32_t i = 0; i < count; i++) {
        /* why: what is found is far below 2^31, which only we know: the processor must wait. */
        const uint8_t *at = hosts + (last >> 31);
        last = l4_names_find(&set, (const char *)at + 1, *at);
        found += last != 0;
        hosts += 1 + *at;
    }
    return found;
}
