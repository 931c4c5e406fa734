#include "core/schedule.h"

#include <string.h>

#include "base/assert.h"

static uint32_t gcd(uint32_t a, uint32_t b)
{
    while (b) {
        const uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Divides weights by their greatest common divisor; returns their sum. */
static uint64_t reduce(uint32_t *weights, uint32_t members)
{
    uint32_t shared = 0;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < members; i++)
        shared = gcd(weights[i], shared);
    for (uint32_t i = 0; shared && i < members; i++) {
        weights[i] /= shared;
        sum += weights[i];
    }
    return sum;
}

uint32_t l4_schedule_build(const uint32_t *weights, uint32_t members, uint32_t *scaled,
                           int64_t *credit, uint16_t slots[L4_SLOTS_MAX])
{
    memcpy(scaled, weights, members * sizeof *scaled);
    memset(credit, 0, members * sizeof *credit);
    uint64_t sum = reduce(scaled, members);
    while (sum > L4_SLOTS_MAX) {
        for (uint32_t i = 0; i < members; i++)
            scaled[i] = scaled[i] > 1 ? scaled[i] / 2 : scaled[i];
        sum = reduce(scaled, members);
    }
    L4_ASSERT(sum <= L4_SLOTS_MAX);
    for (uint32_t slot = 0; slot < sum; slot++) {
        uint32_t best = 0;
        int64_t max = INT64_MIN;
        for (uint32_t i = 0; i < members; i++) {
            credit[i] += scaled[i];
            if (scaled[i] && credit[i] > max) {
                max = credit[i];
                best = i;
            }
        }
        credit[best] -= (int64_t)sum;
        slots[slot] = (uint16_t)best;
    }
    return (uint32_t)sum;
}
