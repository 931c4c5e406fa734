#include "core/response.h"

#include "base/bounds.h"

enum { PARTS = 64 }; /* units of a microsecond */

/* Returns value x 2^-(ms / half). The power of two between whole halvings is interpolated
 * linearly. */
static uint32_t fade(uint32_t value, uint32_t ms)
{
    const uint32_t halvings = ms / L4_RESPONSE_HALF_MS, rest = ms % L4_RESPONSE_HALF_MS;
    if (halvings >= 32)
        return 0;
    const uint64_t at = value >> halvings;
    return (uint32_t)(at - at * rest / (2 * L4_RESPONSE_HALF_MS));
}

static uint32_t age_ms(uint64_t word, uint64_t now_ms)
{
    const uint32_t age = (uint32_t)now_ms - (uint32_t)(word >> 32);
    return age > INT32_MAX ? 0 : age; /* another worker's clock was read a little later */
}

uint32_t l4_response_read(const _Atomic uint64_t *word, uint64_t now_ms)
{
    const uint64_t found = atomic_load_explicit(word, memory_order_relaxed);
    return found ? fade((uint32_t)found, age_ms(found, now_ms)) / PARTS : 0;
}

uint32_t l4_response_of(const struct l4_backend *backend, uint64_t now_ms)
{
    const uint32_t known = l4_response_read(&backend->response, now_ms);
    if (atomic_load_explicit(&backend->owed, memory_order_relaxed) == 0)
        return known;
    const uint32_t since = atomic_load_explicit(&backend->silent_since_ms, memory_order_relaxed);
    const uint32_t silent_ms = (uint32_t)now_ms - since;
    if (silent_ms > INT32_MAX) /* another worker's clock was read a little later */
        return known;
    const uint64_t silent_us = 1000ull * silent_ms;
    return silent_us <= known ? known : silent_us < UINT32_MAX ? (uint32_t)silent_us : UINT32_MAX;
}

void l4_response_observe(_Atomic uint64_t *word, uint64_t now_ms, uint64_t sample_us)
{
    const uint32_t sample =
        sample_us < UINT32_MAX / PARTS ? (uint32_t)sample_us * PARTS : UINT32_MAX;
    uint64_t found = atomic_load_explicit(word, memory_order_relaxed), next;
    do {
        const uint32_t was = (uint32_t)found;
        uint32_t value = sample;
        if (found && was > sample)
            value = sample + fade(was - sample, age_ms(found, now_ms));
        next = (uint64_t)(uint32_t)now_ms << 32 | (value ? value : 1);
    } while (!atomic_compare_exchange_weak_explicit(word, &found, next, memory_order_relaxed,
                                                    memory_order_relaxed));
}
