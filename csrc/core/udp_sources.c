#include "core/udp_sources.h"

#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"

int l4_sources_init(struct l4_sources *sources, uint32_t max)
{
    uint32_t slots = 16;
    while (slots / 2 < max) /* at most half are in use */
        slots *= 2;
    sources->mask = slots - 1;
    sources->slots = calloc(slots, sizeof *sources->slots);
    return sources->slots ? 0 : -ENOMEM;
}

void l4_sources_close(struct l4_sources *sources)
{
    free(sources->slots);
    sources->slots = NULL;
}

/* Returns the slot of the source, or the slot that it would get. */
static uint32_t place_of(const struct l4_sources *sources, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & sources->mask;
    const uint32_t home = at;
    while (sources->slots[at].count && sources->slots[at].hash != hash) {
        at = (at + 1) & sources->mask;
        L4_ASSERT(at != home); /* half of the slots are free */
    }
    return at;
}

bool l4_sources_take(struct l4_sources *sources, uint64_t hash, uint32_t limit)
{
    struct l4_source_slot *slot = &sources->slots[place_of(sources, hash)];
    if (limit && slot->count >= limit)
        return false;
    slot->hash = hash;
    slot->count++;
    return true;
}

void l4_sources_drop(struct l4_sources *sources, uint64_t hash)
{
    struct l4_source_slot *slots = sources->slots;
    uint32_t hole = place_of(sources, hash);
    if (slots[hole].count == 0)
        return;
    slots[hole].count--;
    if (slots[hole].count)
        return;
    /* A source that another one pushed past the hole moves into it. */
    for (uint32_t at = (hole + 1) & sources->mask; slots[at].count; at = (at + 1) & sources->mask) {
        const uint32_t home = (uint32_t)slots[at].hash & sources->mask;
        if (((at - home) & sources->mask) < ((at - hole) & sources->mask))
            continue;
        slots[hole] = slots[at];
        slots[at].count = 0;
        hole = at;
    }
}
