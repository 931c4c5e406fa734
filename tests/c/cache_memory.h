/* A cache's memory for tests: made, and opened by workers. */
#ifndef L4_TESTS_CACHE_MEMORY_H
#define L4_TESTS_CACHE_MEMORY_H

#include <sys/mman.h>

#include "cache/find.h"
#include "check.h"

enum { LARGEST = 64 << 10, WORKERS = 3 };

static void *memory;
static uint64_t memory_bytes;

/* Makes an empty cache, with logs of so many bytes in all. */
static inline void make(uint64_t logs)
{
    if (memory)
        munmap(memory, memory_bytes);
    memory_bytes = l4_cache_bytes(logs, WORKERS, LARGEST);
    CHECK(memory_bytes >= logs * 9 / 10);
    memory = mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    l4_cache_format(memory, logs, WORKERS, LARGEST);
}

static inline void open_cache(struct l4_cache *cache, uint32_t worker)
{
    CHECK(l4_cache_open(cache, memory, memory_bytes, worker));
}

/* Two workers of an empty cache. */
struct pair {
    struct l4_cache a, b;
};

static inline void open_pair(struct pair *pair, uint64_t logs)
{
    make(logs);
    open_cache(&pair->a, 0);
    open_cache(&pair->b, 1);
}

static inline void close_pair(struct pair *pair)
{
    l4_cache_close(&pair->a);
    l4_cache_close(&pair->b);
}

#endif
