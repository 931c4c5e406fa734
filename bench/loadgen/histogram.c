#include "histogram.h"

static unsigned index_of(uint64_t us)
{
    unsigned power = 0;
    while (us >> power >= 2 * HISTOGRAM_STEPS)
        power++;
    const unsigned step = (unsigned)(us >> power);
    const unsigned index = power * HISTOGRAM_STEPS + step;
    const unsigned last = HISTOGRAM_POWERS * HISTOGRAM_STEPS - 1;
    return index < last ? index : last;
}

/* Returns the largest value of the bucket at this index. */
static uint64_t value_of(unsigned index)
{
    if (index < 2 * HISTOGRAM_STEPS)
        return index;
    const unsigned power = index / HISTOGRAM_STEPS - 1;
    const uint64_t step = index - power * HISTOGRAM_STEPS;
    return ((step + 1) << power) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t us)
{
    histogram->counts[index_of(us)]++;
    histogram->total++;
    if (us > histogram->max)
        histogram->max = us;
}

uint64_t histogram_at(const struct histogram *histogram, double percent)
{
    const double wanted = percent / 100 * (double)histogram->total;
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_POWERS * HISTOGRAM_STEPS; i++) {
        seen += histogram->counts[i];
        if (seen && (double)seen >= wanted)
            return value_of(i) < histogram->max ? value_of(i) : histogram->max;
    }
    return histogram->max;
}
