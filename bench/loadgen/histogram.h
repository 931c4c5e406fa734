/* A histogram of latencies in microseconds, log-linear: 128 steps for each power of two, which
 * keeps errors within 0.8 %. */
#ifndef LOADGEN_HISTOGRAM_H
#define LOADGEN_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_STEPS = 128, HISTOGRAM_POWERS = 34 };

struct histogram {
    uint64_t counts[HISTOGRAM_POWERS * HISTOGRAM_STEPS];
    uint64_t total, max;
};

void histogram_add(struct histogram *histogram, uint64_t us);

/* Returns the percentile: `percent` of all values are not above it; 0 if there are none. */
uint64_t histogram_at(const struct histogram *histogram, double percent);

#endif
