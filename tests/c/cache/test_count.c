/* The number of objects is that of those that are found. */
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "cache/count.h"
#include "cache/words.h"
#include "stored.h"

enum { OBJECTS = 20000, BEFORE = 3 * L4_PAGE_BYTES };

/* Makes an empty cache in a file, behind something else. */
static int make_in_file(uint64_t logs)
{
    const int fd = memfd_create("cache", MFD_CLOEXEC);
    memory_bytes = l4_cache_bytes(logs, WORKERS, LARGEST);
    CHECK(fd >= 0 && ftruncate(fd, (off_t)(BEFORE + memory_bytes)) == 0);
    memory = mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, BEFORE);
    CHECK(memory != MAP_FAILED);
    l4_cache_format(memory, logs, WORKERS, LARGEST);
    return fd;
}

static void drop_file(int fd)
{
    CHECK(munmap(memory, memory_bytes) == 0 && close(fd) == 0);
    memory = NULL;
}

static int64_t count(int fd)
{
    return l4_cache_count(fd, BEFORE, memory_bytes);
}

static int64_t found_of(struct l4_cache *cache, uint32_t numbers)
{
    struct l4_cache_read read;
    int64_t found = 0;
    for (uint32_t number = 0; number < numbers; number++) {
        if (!find(cache, number, &read))
            continue;
        found++;
        l4_cache_release(cache, &read);
    }
    return found;
}

/* Claims are no objects; what is replaced, purged or evicted is none any more. */
TEST(all_that_are_found_are_counted_and_nothing_else)
{
    const int fd = make_in_file(16 << 20);
    struct l4_cache a, b;
    struct l4_cache_claim claim;
    char key[32];
    open_cache(&a, 0);
    open_cache(&b, 2);
    CHECK_EQ(0, count(fd));
    for (uint32_t number = 0; number < OBJECTS; number++) {
        CHECK_EQ(L4_CACHE_STORED, put(number % 2 ? &a : &b, number, 1, number % 600));
        if (number % 3 == 0)
            (void)l4_cache_purge(&a, hash_of(number), key_of(number, key), false);
        if (number % 5 == 0)
            (void)put(&b, number, 2, 1);
        if (number % 1000 == 0)
            CHECK_EQ(found_of(&a, number + 1), count(fd));
    }
    CHECK(a.self->evicted && count(fd) > 100);
    CHECK_EQ(found_of(&a, OBJECTS), count(fd));
    const int64_t before = count(fd);
    CHECK_EQ(L4_CACHE_FETCH, l4_cache_claim(&a, hash_of(1), time(NULL), &claim));
    CHECK(count(fd) <= before); /* it has a free place, or an object's */
    l4_cache_end_claim(&a, &claim, time(NULL) + 1000);
    CHECK_EQ(found_of(&a, OBJECTS), count(fd));
    l4_cache_close(&a);
    l4_cache_close(&b);
    drop_file(fd);
}

/* A large index is counted in part, in a bounded time. */
TEST(a_count_of_a_part_is_near_the_truth)
{
    const uint64_t logs = 16ull << 30; /* none of it is written to but a part of the index */
    const int fd = make_in_file(logs);
    struct l4_cache cache;
    open_cache(&cache, 0);
    const uint64_t words = (uint64_t)cache.buckets * L4_CACHE_WAYS, many = 1 << 20;
    CHECK(words >= 4ull * L4_CACHE_COUNTED);
    for (uint32_t number = 0; number < many; number++)
        l4_cache_publish(&cache, hash_of(number), 0, l4_word(hash_of(number), 1, number));
    const int64_t counted = count(fd);
    CHECK(counted > (int64_t)many * 99 / 100 && counted < (int64_t)many * 101 / 100);
    l4_cache_close(&cache);
    drop_file(fd);
}

TEST(what_is_no_cache_is_not_counted)
{
    const int fd = make_in_file(16 << 20);
    CHECK_EQ(-1, l4_cache_count(-1, BEFORE, memory_bytes));
    CHECK_EQ(-1, l4_cache_count(fd, 0, memory_bytes));
    CHECK_EQ(-1, l4_cache_count(fd, BEFORE, memory_bytes / 2));
    CHECK_EQ(-1, l4_cache_count(fd, BEFORE + memory_bytes, memory_bytes));
    ((struct l4_cache_header *)memory)->index_at = UINT64_MAX;
    CHECK_EQ(-1, count(fd));
    drop_file(fd);
}

MAIN(RUN(all_that_are_found_are_counted_and_nothing_else); RUN(a_count_of_a_part_is_near_the_truth);
     RUN(what_is_no_cache_is_not_counted))
