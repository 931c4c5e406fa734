#include "core/simulate.h"

#include "base/random.h"
#include "core/pick.h"
#include "shm/count.h"

void l4_simulate_keys(const struct l4_table *table, uint32_t pool, uint64_t now_ms, uint32_t count,
                      uint16_t *chosen)
{
    const uint64_t step = count ? UINT64_MAX / count : 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct l4_pick_request request = {
            .pool = pool, .now_ms = now_ms, .hash = step * i + step / 2, .dry = true};
        const uint32_t backend = l4_pick(table, &request).backend;
        chosen[i] = backend == L4_NONE ? L4_SIMULATE_NONE : (uint16_t)backend;
    }
}

uint32_t l4_simulate_picks(const struct l4_table *table, uint32_t pool, uint64_t now_ms,
                           uint32_t count, bool hold, uint32_t *counts)
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
