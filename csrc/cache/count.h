/* How many objects a cache has in memory: words of the index that name one. */
#ifndef L4_CACHE_COUNT_H
#define L4_CACHE_COUNT_H

#include "cache/layout.h"

/* Words that one count looks at. A larger index (of more than 2 GiB of memory) is counted in part:
 * keys are spread evenly over it. */
enum { L4_CACHE_COUNTED = 1 << 20 };

/* Counts the objects at this moment in the memory of a cache, which is a part of a file. It takes a
 * few milliseconds at most. Returns -1 if the memory cannot be read, or is not that of a cache. */
__attribute__((warn_unused_result)) int64_t l4_cache_count(int fd, uint64_t at, uint64_t bytes);

#endif
