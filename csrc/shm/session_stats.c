#include "shm/session_stats.h"

#include "base/assert.h"

#define DECADE(n) 1 * (n), 2 * (n), 5 * (n)

static const uint64_t time_bounds[L4_BUCKETS - 1] = {
    DECADE(10ull),         DECADE(100ull),     DECADE(1000ull),     DECADE(10000ull),
    DECADE(100000ull),     DECADE(1000000ull), DECADE(10000000ull), DECADE(100000000ull),
    DECADE(1000000000ull), 10000000000ull,
};

enum { BYTES_FIRST_BIT = 6, BYTES_BOUNDS = 18 };

_Static_assert(BYTES_BOUNDS < (int)L4_BUCKETS, "a histogram has room for both scales");

uint64_t l4_bucket_bound(enum l4_measure measure, uint32_t bucket)
{
    if (measure >= L4_MEASURE_BYTES_IN)
        return bucket < BYTES_BOUNDS ? 1ull << (BYTES_FIRST_BIT + 2 * bucket) : UINT64_MAX;
    return bucket < L4_BUCKETS - 1 ? time_bounds[bucket] : UINT64_MAX;
}

uint32_t l4_bucket_of(enum l4_measure measure, uint64_t value)
{
    uint32_t low = 0, high = measure >= L4_MEASURE_BYTES_IN ? BYTES_BOUNDS : L4_BUCKETS - 1;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (value <= l4_bucket_bound(measure, middle))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

void l4_ledger_add(struct l4_ledger *ledger, enum l4_measure measure, uint64_t value)
{
    L4_ASSERT(measure < L4_MEASURES);
    struct l4_histogram *histogram = &ledger->measures[measure];
    L4_OWN_ADD(histogram->counts[l4_bucket_of(measure, value)], 1);
    L4_OWN_ADD(histogram->sum, value);
}
