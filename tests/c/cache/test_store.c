/* Objects of a cache: what is found is what was stored, whole, whoever dies; what is used stays. */
#include <pthread.h>
#include <time.h>

#include "process.h"
#include "stored.h"

/* ---- one worker, and several -------------------------------------------------------------------
 */

TEST(what_one_worker_stores_all_find)
{
    struct l4_cache a, b;
    make(16 << 20);
    open_cache(&a, 0);
    open_cache(&b, 2);
    CHECK_EQ(-1, look(&b, 1));
    CHECK_EQ(L4_CACHE_STORED, put(&a, 1, 10, 100));
    CHECK_EQ(10, look(&a, 1));
    CHECK_EQ(10, look(&b, 1));
    CHECK_EQ(L4_CACHE_STORED, put(&b, 1, 11, 0));
    CHECK_EQ(11, look(&a, 1));
    l4_cache_close(&a);
    l4_cache_close(&b);
}

TEST(memory_of_another_format_is_not_opened)
{
    struct l4_cache cache;
    make(16 << 20);
    CHECK(!l4_cache_open(&cache, memory, memory_bytes - 1, 0));
    CHECK(!l4_cache_open(&cache, memory, 8, 0));
    CHECK(!l4_cache_open(&cache, memory, memory_bytes, L4_CACHE_READERS));
    ((struct l4_cache_header *)memory)->format++;
    CHECK(!l4_cache_open(&cache, memory, memory_bytes, 0));
    CHECK_EQ(0, l4_cache_bytes(512 << 10, WORKERS, LARGEST));
}

/* Somebody who can write to the memory must not lead others out of it. */
TEST(a_header_that_names_places_outside_is_not_opened)
{
    struct l4_cache cache;
    make(4 << 20);
    struct l4_cache_header *header = memory;
    const struct l4_cache_header good = *header;
    const struct {
        uint64_t log_bytes, index_at, logs_at;
        uint32_t logs, buckets;
    } bad[] = {
        {good.log_bytes * 2, good.index_at, good.logs_at, good.logs, good.buckets},
        {UINT64_MAX, good.index_at, good.logs_at, good.logs, good.buckets},
        {0, good.index_at, good.logs_at, good.logs, good.buckets},
        {good.log_bytes, 0, good.logs_at, good.logs, good.buckets},
        {good.log_bytes, UINT64_MAX - 8, good.logs_at, good.logs, good.buckets},
        {good.log_bytes, good.index_at, memory_bytes, good.logs, good.buckets},
        {good.log_bytes, good.index_at, UINT64_MAX - 64, good.logs, good.buckets},
        {good.log_bytes, good.index_at, good.logs_at, 0, good.buckets},
        {good.log_bytes, good.index_at, good.logs_at, UINT32_MAX, good.buckets},
        {good.log_bytes, good.index_at, good.logs_at, good.logs, 0},
        {good.log_bytes, good.index_at, good.logs_at, good.logs, good.buckets + 1},
        {good.log_bytes, good.index_at, good.logs_at, good.logs, 1u << 31},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        header->log_bytes = bad[i].log_bytes;
        header->index_at = bad[i].index_at;
        header->logs_at = bad[i].logs_at;
        header->logs = bad[i].logs;
        header->buckets = bad[i].buckets;
        CHECK(!l4_cache_open(&cache, memory, memory_bytes, 0));
    }
    *header = good;
    open_cache(&cache, 0);
    header->log_bytes = header->index_at = header->logs_at = UINT64_MAX;
    header->buckets = 0;
    CHECK(put(&cache, 1, 1, 10) == L4_CACHE_STORED);
    CHECK(look(&cache, 1) == 1);
    l4_cache_close(&cache);
}

TEST(an_object_has_a_bound)
{
    struct l4_cache cache;
    make(16 << 20);
    open_cache(&cache, 0);
    const size_t texts = sizeof(struct l4_cached) + strlen("http://a/1") + strlen("ETag: x\r\n");
    CHECK_EQ(L4_CACHE_STORED, put(&cache, 1, 1, (LARGEST - texts) / 8));
    CHECK_EQ(1, look(&cache, 1));
    CHECK_EQ(L4_CACHE_TOO_LARGE, put(&cache, 1, 2, (LARGEST - texts) / 8 + 1));
    CHECK_EQ(1, look(&cache, 1));
    l4_cache_close(&cache);
}

static bool has_vary(void *context, const struct l4_cached *object)
{
    return l4_text_is(l4_cached_vary(object), *(const struct l4_text *)context);
}

TEST(variants_and_pools_are_kept_apart_and_purged_together)
{
    struct l4_cache cache;
    struct l4_cache_read read;
    struct l4_text varies[] = {L4_TEXT("a:1\n"), L4_TEXT("a:2\n")};
    struct l4_cache_new new = {.hash = hash_of(1), .status = 200, .key = L4_TEXT("k")};
    make(16 << 20);
    open_cache(&cache, 0);
    for (uint32_t pool = 0; pool < 2; pool++) {
        for (uint32_t i = 0; i < 2; i++) {
            new.pool = pool;
            new.vary = varies[i];
            new.freshness.date_s = pool * 2 + i;
            l4_cache_put(&cache, &new, has_vary, &varies[i]);
        }
    }
    for (uint32_t pool = 0; pool < 2; pool++) {
        for (uint32_t i = 0; i < 2; i++) {
            CHECK(
                l4_cache_find(&cache, hash_of(1), pool, L4_TEXT("k"), has_vary, &varies[i], &read));
            CHECK_EQ(pool * 2 + i, read.object->freshness.date_s);
            l4_cache_release(&cache, &read);
        }
    }
    CHECK(!l4_cache_find(&cache, hash_of(1), 0, L4_TEXT("K"), all, NULL, &read));
    CHECK_EQ(0, l4_cache_purge(&cache, hash_of(1), L4_TEXT("K"), false));
    CHECK_EQ(4, l4_cache_purge(&cache, hash_of(1), L4_TEXT("k"), true));
    CHECK(l4_cache_find(&cache, hash_of(1), 0, L4_TEXT("k"), all, NULL, &read));
    CHECK_EQ(1, atomic_load(&read.object->soft));
    CHECK_EQ(1, read.object->freshness.date_s); /* the newest one */
    l4_cache_release(&cache, &read);
    CHECK_EQ(4, l4_cache_purge(&cache, hash_of(1), L4_TEXT("k"), false));
    CHECK(!l4_cache_find(&cache, hash_of(1), 0, L4_TEXT("k"), all, NULL, &read));
    l4_cache_close(&cache);
}

/* ---- against a naive model ----------------------------------------------------------------------
 */

TEST(a_random_history_finds_the_newest_version_or_nothing)
{
    enum { KEYS = 4000, STEPS = 200000 };
    static uint32_t newest[KEYS];
    struct l4_cache caches[WORKERS];
    uint64_t random = 42;
    uint32_t found = 0;
    memset(newest, 0, sizeof newest);
    make(4 << 20);
    for (uint32_t i = 0; i < WORKERS; i++)
        open_cache(&caches[i], i);
    for (uint32_t step = 1; step <= STEPS; step++) {
        random = l4_hash_again(random, step);
        struct l4_cache *cache = &caches[random % WORKERS];
        const uint32_t number = (uint32_t)(random >> 8) % KEYS * ((random >> 40) & 1);
        if (random >> 60 < 4) {
            CHECK_EQ(L4_CACHE_STORED, put(cache, number, step, (random >> 32) % 800));
            newest[number] = step;
        } else if (random >> 60 == 4) {
            char key[32];
            l4_cache_purge(cache, hash_of(number), key_of(number, key), false);
            newest[number] = 0;
        } else {
            const long long version = look(cache, number);
            found += version > 0;
            if (version != -1 && version != newest[number]) {
                CHECK_EQ(newest[number], version);
                return;
            }
        }
    }
    CHECK(found > STEPS / 10);
    for (uint32_t i = 0; i < WORKERS; i++)
        l4_cache_close(&caches[i]);
}

TEST(what_is_used_outlives_what_is_only_stored)
{
    struct l4_cache cache;
    make(12 << 20);
    open_cache(&cache, 0);
    for (uint32_t i = 0; i < 100; i++) {
        put(&cache, i, 1, 500);
        look(&cache, i);
    }
    /* A scan of twenty times the log, in which the hundred are asked for now and then. */
    for (uint32_t i = 1000; i < 21000; i++) {
        put(&cache, i, 1, 500);
        if (i % 10 == 0)
            look(&cache, i / 10 % 100);
    }
    uint32_t left = 0;
    for (uint32_t i = 0; i < 100; i++)
        left += look(&cache, i) == 1;
    CHECK_EQ(100, left);
    CHECK(atomic_load(&cache.self->evicted) > 15000);
    l4_cache_close(&cache);
}

TEST(what_comes_back_soon_goes_into_the_main_ring)
{
    struct l4_cache cache;
    make(12 << 20);
    open_cache(&cache, 0);
    put(&cache, 1, 1, 100);
    for (uint32_t i = 1000; i < 1300; i++)
        put(&cache, i, 1, 500);
    CHECK_EQ(-1, look(&cache, 1));
    put(&cache, 1, 2, 100);
    for (uint32_t i = 3000; i < 3300; i++)
        put(&cache, i, 1, 500);
    CHECK_EQ(2, look(&cache, 1)); /* three times the small ring have come by */
    l4_cache_close(&cache);
}

/* ---- readers ------------------------------------------------------------------------------------
 */

TEST(what_is_read_is_not_written_over)
{
    struct pair pair;
    struct l4_cache_read read;
    uint32_t blocked = 0;
    open_pair(&pair, 4 << 20);
    put(&pair.a, 1, 5, 1000);
    CHECK(find(&pair.b, 1, &read));
    for (uint32_t i = 100; i < 3000; i++)
        blocked += put(&pair.a, i, 1, 1000) == L4_CACHE_BLOCKED;
    CHECK(blocked > 1000);
    CHECK_EQ(5, version_of(read.object, 1));
    CHECK_EQ(-1, look(&pair.a, 1)); /* it is out of the index */
    l4_cache_release(&pair.b, &read);
    CHECK_EQ(L4_CACHE_STORED, put(&pair.a, 1, 6, 1000));
    CHECK_EQ(6, look(&pair.b, 1));
    close_pair(&pair);
}

TEST(two_reads_of_one_region_are_both_kept)
{
    struct l4_cache cache;
    struct l4_cache_read first, second;
    make(4 << 20);
    open_cache(&cache, 0);
    put(&cache, 1, 1, 10);
    put(&cache, 2, 1, 10);
    CHECK(find(&cache, 1, &first) && find(&cache, 2, &second));
    l4_cache_release(&cache, &first);
    CHECK(atomic_load(&cache.self->pins[0]));
    l4_cache_release(&cache, &second);
    CHECK(!atomic_load(&cache.self->pins[0]));
    l4_cache_close(&cache);
}

TEST(a_dead_readers_pins_are_forgotten)
{
    struct pair pair;
    struct l4_cache_read read;
    open_pair(&pair, 4 << 20);
    put(&pair.a, 1, 1, 1000);
    CHECK(find(&pair.b, 1, &read));
    for (uint32_t i = 100; i < 1000; i++)
        put(&pair.a, i, 1, 1000);
    CHECK_EQ(L4_CACHE_BLOCKED, put(&pair.a, 1000, 1, 1000));
    l4_cache_forget(memory, 1);
    CHECK_EQ(L4_CACHE_STORED, put(&pair.a, 1000, 1, 1000));
    close_pair(&pair);
}

/* ---- all at once --------------------------------------------------------------------------------
 */

enum { SHARED_KEYS = 300 };

/* Stores and looks for a number of steps. Returns how many reads were wrong. */
static uint32_t work(uint32_t worker, uint64_t random, uint32_t steps, uint32_t *found)
{
    struct l4_cache cache;
    uint32_t wrong = 0;
    if (!l4_cache_open(&cache, memory, memory_bytes, worker))
        return 1;
    for (uint32_t step = 1; step <= steps; step++) {
        random = l4_hash_again(random, step);
        const uint32_t number = (uint32_t)(random >> 8) % SHARED_KEYS;
        if (random >> 61 == 0) {
            put(&cache, number, step, (random >> 32) % 2000);
        } else {
            const long long version = look(&cache, number);
            wrong += version == -2;
            *found += version > 0;
        }
    }
    l4_cache_close(&cache);
    return wrong;
}

static void *work_in_thread(void *number)
{
    uint32_t found = 0;
    const uint32_t worker = (uint32_t)(uintptr_t)number;
    const uint32_t wrong = work(worker, worker + 1, 20000, &found);
    return (void *)(uintptr_t)(wrong || !found);
}

TEST(threads_never_read_what_was_not_stored)
{
    pthread_t threads[WORKERS];
    make(2 << 20);
    for (uintptr_t i = 0; i < WORKERS; i++)
        pthread_create(&threads[i], NULL, work_in_thread, (void *)i);
    for (uint32_t i = 0; i < WORKERS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        CHECK(!wrong);
    }
}

static pid_t begin_worker(uint32_t worker, uint32_t seed)
{
    const pid_t pid = fork_tied();
    if (pid == 0) {
        uint32_t found = 0;
        _exit(work(worker, seed, 1u << 30, &found) ? 2 : 0);
    }
    return pid;
}

/* Kills workers at random moments. What is found then is always whole, also by who comes next. */
TEST(workers_that_are_killed_leave_whole_objects)
{
    enum { KILLS = 40 };
    pid_t pids[WORKERS];
    struct l4_cache cache;
    uint32_t found = 0, wrong = 0;
    make(2 << 20);
    for (uint32_t i = 0; i < WORKERS; i++)
        pids[i] = i ? begin_worker(i, i) : 0;
    open_cache(&cache, 0);
    for (uint32_t kill_number = 0; kill_number < KILLS; kill_number++) {
        const uint32_t worker = 1 + kill_number % (WORKERS - 1);
        const struct timespec pause = {0, 1000000 + kill_number * 37 % 11 * 1000000};
        int status;
        nanosleep(&pause, NULL);
        kill(pids[worker], SIGKILL);
        CHECK(waitpid(pids[worker], &status, 0) == pids[worker] && WIFSIGNALED(status));
        l4_cache_forget(memory, worker);
        for (uint32_t number = 0; number < SHARED_KEYS; number++) {
            const long long version = look(&cache, number);
            found += version > 0;
            wrong += version == -2;
        }
        pids[worker] = begin_worker(worker, 1000 + kill_number);
    }
    for (uint32_t i = 1; i < WORKERS; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    CHECK(found > 0);
    CHECK_EQ(0, wrong);
    l4_cache_close(&cache);
}

/* clang-format off */
MAIN(RUN(what_one_worker_stores_all_find);
     RUN(memory_of_another_format_is_not_opened);
     RUN(a_header_that_names_places_outside_is_not_opened);
     RUN(an_object_has_a_bound);
     RUN(variants_and_pools_are_kept_apart_and_purged_together);
     RUN(a_random_history_finds_the_newest_version_or_nothing);
     RUN(what_is_used_outlives_what_is_only_stored);
     RUN(what_comes_back_soon_goes_into_the_main_ring);
     RUN(what_is_read_is_not_written_over);
     RUN(two_reads_of_one_region_are_both_kept);
     RUN(a_dead_readers_pins_are_forgotten);
     RUN(threads_never_read_what_was_not_stored);
     RUN(workers_that_are_killed_leave_whole_objects))
