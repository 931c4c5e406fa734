#include "core/maglev.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"

static int by_name(const void *a, const void *b)
{
    const struct l4_maglev_member *x = a, *y = b;
    return (x->name_hash > y->name_hash) - (x->name_hash < y->name_hash);
}

/* Puts members with weight first, sorted by name, and starts their permutations. */
static uint32_t prepare(struct l4_maglev_member *members, uint32_t count, uint32_t size,
                        uint32_t *max_weight)
{
    uint32_t kept = 0;
    *max_weight = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (members[i].weight)
            members[kept++] = members[i];
    }
    qsort(members, kept, sizeof *members, by_name);
    for (uint32_t i = 0; i < kept; i++) {
        struct l4_maglev_member *m = &members[i];
        m->at = (uint32_t)(l4_hash_again(m->name_hash, 1) % size);
        m->skip = (uint32_t)(l4_hash_again(m->name_hash, 2) % (size - 1)) + 1;
        m->due = 0;
        *max_weight = m->weight > *max_weight ? m->weight : *max_weight;
    }
    return kept;
}

/* Claims the member's next free slot. The permutation covers all slots, so it finds one while any
 * is free. */
static uint32_t claim(struct l4_maglev_member *m, uint32_t size, uint64_t *taken)
{
    for (;;) {
        const uint32_t slot = m->at;
        m->at += m->skip;
        if (m->at >= size)
            m->at -= size;
        if (!(taken[slot / 64] >> (slot % 64) & 1)) {
            taken[slot / 64] |= 1ull << (slot % 64);
            return slot;
        }
    }
}

uint32_t l4_maglev_build(struct l4_maglev_member *members, uint32_t count, uint32_t size,
                         uint64_t *taken, uint16_t *slots)
{
    uint32_t max_weight, filled = 0;
    L4_ASSERT(size > 2 && size <= L4_MAGLEV_MAX);
    const uint32_t kept = prepare(members, count, size, &max_weight);
    L4_ASSERT(kept <= count);
    if (kept == 0)
        return 0;
    memset(taken, 0, (size + 63) / 64 * sizeof *taken);
    while (filled < size) {
        for (uint32_t i = 0; i < kept && filled < size; i++) {
            members[i].due += members[i].weight;
            if (members[i].due < max_weight)
                continue;
            members[i].due -= max_weight;
            slots[claim(&members[i], size, taken)] = members[i].backend;
            filled++;
        }
    }
    return size;
}
