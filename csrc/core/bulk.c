#include "core/bulk.h"

#include "base/random.h"
#include "core/access.h"
#include "core/pick.h"
#include "shm/count.h"

void l4_bulk_keys(const struct l4_table *table, uint32_t pool, uint64_t now_ms, uint32_t count,
                  uint16_t *chosen)
{
    const uint64_t step = count ? UINT64_MAX / count : 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct l4_pick_request request = {
            .pool = pool, .now_ms = now_ms, .hash = step * i + step / 2, .dry = true};
        const uint32_t backend = l4_pick(table, &request).backend;
        chosen[i] = backend == L4_NONE ? L4_BULK_NONE : (uint16_t)backend;
    }
}

uint32_t l4_bulk_picks(const struct l4_table *table, uint32_t pool, uint64_t now_ms, uint32_t count,
                       bool hold, uint32_t *counts)
{
    uint64_t state = 1;
    uint32_t without = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t random = l4_random(&state);
        const struct l4_pick_request request = {
            .pool = pool, .now_ms = now_ms, .hash = l4_hash_again(random, 0), .random = random};
        const uint32_t backend = l4_pick(table, &request).backend;
        if (backend == L4_NONE) {
            without++;
            continue;
        }
        counts[backend]++;
        if (!hold)
            l4_count_drop_backend(table, 0, backend);
    }
    return without;
}

uint32_t l4_bulk_finds(const struct l4_table *table, uint32_t set, const struct l4_addr *addresses,
                       uint32_t count, bool in_turn)
{
    uint32_t found = 0;
    uint8_t last = 0;
    for (uint32_t i = 0; i < count; i++) {
        /* why: values are far below 128, so the sum is always i. The processor does not know this
         * and must wait. */
        const uint32_t at = in_turn ? i + (last >> 7) : i;
        last = l4_access_find(table, set, &addresses[at]);
        found += last != 0;
    }
    return found;
}

uint64_t l4_bulk_loads(const uint64_t *memory, uint64_t words, uint32_t count)
{
    uint64_t state = 1, last = 0;
    for (uint32_t i = 0; i < count; i++)
        last = memory[(l4_random(&state) + last) % words];
    return last;
}
