#include "shm/egress.h"

#include <stdbool.h>
#include <string.h>

#include "shm/seq.h"
#include "shm/table.h"

/* Copies data that may be torn; the caller checks seq. No index is trusted. */
L4_READS_UNDER_SEQ
static void copy(const struct l4_egress *egress, uint16_t family, const struct l4_addr *client,
                 uint64_t random, struct l4_way *way)
{
    const bool six = family == AF_INET6;
    const uint32_t first = six ? egress->sources4 : 0;
    const uint32_t count = six ? egress->sources6 : egress->sources4;
    way->options = egress->options;
    way->count = 0;
    if (L4_GET(egress->transparent) && client->family == family) {
        way->options.set |= 1u << L4_OPTION_TRANSPARENT;
        way->options.values[L4_OPTION_TRANSPARENT] = 1;
        way->from[way->count++] = l4_addr_network(client, 128); /* any port */
        return;
    }
    while (way->count < L4_SOURCE_TRIES && way->count < count) {
        const uint32_t at = first + (uint32_t)((random + way->count) % count);
        if (at >= L4_SOURCES_MAX)
            return;
        way->from[way->count++] = egress->sources[at];
    }
}

const struct l4_way *l4_egress_way(const struct l4_egress *egress, uint16_t family,
                                   const struct l4_addr *client, uint64_t random,
                                   struct l4_way *way)
{
    if (!L4_GET(egress->used) || (family != AF_INET && family != AF_INET6))
        return NULL;
    for (int i = 0; i < L4_SEQ_TRIES; i++) {
        const uint32_t seq = l4_seq_begin(&egress->seq);
        copy(egress, family, client, random, way);
        if (l4_seq_holds(&egress->seq, seq))
            break;
    }
    way->options.interface[L4_INTERFACE_MAX] = 0;
    return way;
}

void l4_egress_write(struct l4_egress *egress, const struct l4_egress *next)
{
    l4_seq_write(&egress->seq);
    L4_SET(egress->transparent, L4_GET(next->transparent));
    egress->sources4 = next->sources4;
    egress->sources6 = next->sources6;
    egress->options = next->options;
    memcpy(egress->sources, next->sources, sizeof egress->sources);
    L4_SET(egress->used, L4_GET(next->used));
    l4_seq_written(&egress->seq);
}
