/* Objects of a cache: what is found is what was stored, whole, whoever dies; what is used stays. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/hash.h"
#include "cache/find.h"
#include "check.h"
#include "process.h"

enum { LARGEST = 64 << 10, WORKERS = 3 };

static void *memory;
static uint64_t memory_bytes;

/* Makes an empty cache, with logs of so many bytes in all. */
static void make(uint64_t logs)
{
    if (memory)
        munmap(memory, memory_bytes);
    memory_bytes = l4_cache_bytes(logs, WORKERS, LARGEST);
    CHECK(memory_bytes >= logs * 9 / 10);
    memory = mmap(NULL, memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    l4_cache_format(memory, logs, WORKERS, LARGEST);
}

static void open_cache(struct l4_cache *cache, uint32_t worker)
{
    CHECK(l4_cache_open(cache, memory, memory_bytes, worker));
}

/* Two workers of an empty cache. */
struct pair {
    struct l4_cache a, b;
};

static void open_pair(struct pair *pair, uint64_t logs)
{
    make(logs);
    open_cache(&pair->a, 0);
    open_cache(&pair->b, 1);
}

static void close_pair(struct pair *pair)
{
    l4_cache_close(&pair->a);
    l4_cache_close(&pair->b);
}

/* ---- objects that tell what they are ------------------------------------------------------------
 */

enum { POOL = 7 };

static uint64_t hash_of(uint32_t number)
{
    return l4_hash_again(0x1234, number);
}

static struct l4_text key_of(uint32_t number, char to[static 32])
{
    const int bytes = snprintf(to, 32, "http://a/%u", number);
    return (struct l4_text){to, (size_t)bytes};
}

/* A body whose every word tells the object and its version. */
static struct l4_text body_of(uint32_t number, uint32_t version, size_t words, uint64_t *to)
{
    for (size_t i = 0; i < words; i++)
        to[i] = (uint64_t)number << 32 | version;
    return (struct l4_text){(const char *)to, words * sizeof *to};
}

static bool all(void *context, const struct l4_cached *object)
{
    (void)context;
    (void)object;
    return true;
}

static enum l4_cache_stored put(struct l4_cache *cache, uint32_t number, uint32_t version,
                                size_t words)
{
    char key[32];
    static _Thread_local uint64_t words_of_it[LARGEST / 8];
    const struct l4_text body = body_of(number, version, words, words_of_it);
    const struct l4_text pieces[] = {{body.at, body.bytes / 3},
                                     {body.at + body.bytes / 3, body.bytes - body.bytes / 3}};
    const struct l4_cache_new new = {
        .hash = hash_of(number),
        .pool = POOL,
        .freshness.date_s = version,
        .status = 200,
        .key = key_of(number, key),
        .head = L4_TEXT("ETag: x\r\n"),
        .body = pieces,
        .pieces = 2,
    };
    return l4_cache_put(cache, &new, all, NULL);
}

static bool find(struct l4_cache *cache, uint32_t number, struct l4_cache_read *read)
{
    char key[32];
    return l4_cache_find(cache, hash_of(number), POOL, key_of(number, key), all, NULL, read);
}

/* Returns the version of an object that is found, after a look at every word of it; -1: not found;
 * -2: not what was stored. */
static long long version_of(const struct l4_cached *object, uint32_t number)
{
    char key[32];
    const struct l4_text body = l4_cached_body(object);
    uint64_t word = 0;
    for (size_t at = 0; at + sizeof word <= body.bytes; at += sizeof word) {
        memcpy(&word, body.at + at, sizeof word);
        if (word >> 32 != number || (uint32_t)word != object->freshness.date_s)
            return -2;
    }
    const bool right = l4_text_is(l4_cached_key(object), key_of(number, key)) &&
                       l4_text_is(l4_cached_head(object), L4_TEXT("ETag: x\r\n"));
    return right ? object->freshness.date_s : -2;
}

static long long look(struct l4_cache *cache, uint32_t number)
{
    struct l4_cache_read read;
    if (!find(cache, number, &read))
        return -1;
    l4_cache_use(&read);
    const long long version = version_of(read.object, number);
    l4_cache_release(cache, &read);
    return version;
}

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

/* Few objects fill the ring, so one of them is moved nearly always. */
enum { MOVED = 2, MOVED_WORDS = LARGEST / 8 - 100, MOVED_ROUNDS = 150 };

struct purger {
    struct l4_cache *cache;
    _Atomic uint32_t purged;
    uint32_t back; /* objects that were there again after their purge */
};

/* Purges one object after the other, which another thread moves meanwhile. */
static void *purge_all(void *context)
{
    struct purger *purger = context;
    for (uint32_t i = 0; i < MOVED; i++) {
        char key[32];
        l4_cache_purge(purger->cache, hash_of(i), key_of(i, key), false);
        atomic_fetch_add(&purger->purged, 1);
        for (int looks = 0; looks < 50; looks++) {
            for (uint32_t k = 0; k <= i; k++)
                purger->back += look(purger->cache, k) != -1;
        }
    }
    return NULL;
}

TEST(what_is_purged_while_it_is_moved_does_not_come_back)
{
    struct pair pair;
    pthread_t thread;
    open_pair(&pair, 2 << 20);
    struct purger purger = {.cache = &pair.b};
    for (int round = 0; round < MOVED_ROUNDS; round++) {
        for (uint32_t i = 0; i < MOVED; i++) {
            put(&pair.a, i, 1, MOVED_WORDS);
            for (int uses = 0; uses < L4_CACHE_USES_MAX; uses++)
                look(&pair.a, i);
        }
        atomic_store(&purger.purged, 0);
        CHECK(!pthread_create(&thread, NULL, purge_all, &purger));
        for (uint32_t i = 1000; atomic_load(&purger.purged) < MOVED; i++) {
            put(&pair.a, i, 1, MOVED_WORDS); /* what is used goes round in the ring */
            for (uint32_t k = atomic_load(&purger.purged); k < MOVED; k++) {
                struct l4_cache_read read;
                if (!find(&pair.a, k, &read))
                    continue;
                l4_cache_use(&read);
                l4_cache_release(&pair.a, &read);
            }
        }
        pthread_join(thread, NULL);
    }
    CHECK_EQ(0, purger.back);
    CHECK(atomic_load(&pair.a.self->moved) > 0);
    close_pair(&pair);
}

/* ---- who fetches --------------------------------------------------------------------------------
 */

TEST(one_fetches_and_others_wait_until_it_ends)
{
    struct pair pair;
    struct l4_cache_claim first, second;
    open_pair(&pair, 4 << 20);
    CHECK_EQ(L4_CACHE_FETCH, l4_cache_claim(&pair.a, hash_of(1), 100, &first));
    CHECK_EQ(L4_CACHE_WAIT, l4_cache_claim(&pair.b, hash_of(1), 100, &second));
    CHECK_EQ(L4_CACHE_WAIT, l4_cache_claim(&pair.a, hash_of(1), 100, &second));
    CHECK_EQ(L4_CACHE_FETCH, l4_cache_claim(&pair.b, hash_of(2), 100, &second));
    l4_cache_end_claim(&pair.a, &first, 0);
    CHECK_EQ(L4_CACHE_FETCH, l4_cache_claim(&pair.b, hash_of(1), 100, &first));
    l4_cache_end_claim(&pair.b, &first, 105);
    CHECK_EQ(L4_CACHE_PASS, l4_cache_claim(&pair.a, hash_of(1), 104, &first));
    CHECK_EQ(L4_CACHE_FETCH, l4_cache_claim(&pair.a, hash_of(1), 105, &first));
    close_pair(&pair);
}

TEST(a_claim_can_be_taken_away)
{
    struct pair pair;
    struct l4_cache_claim slow, next;
    open_pair(&pair, 4 << 20);
    CHECK_EQ(L4_CACHE_FETCH, l4_cache_claim(&pair.a, hash_of(1), 100, &slow));
    CHECK_EQ(L4_CACHE_WAIT, l4_cache_claim(&pair.b, hash_of(1), 100, &next));
    CHECK_EQ(slow.word, next.others);
    CHECK(l4_cache_revoke(&pair.b, hash_of(1), next.others));
    CHECK(!l4_cache_revoke(&pair.b, hash_of(1), next.others));
    CHECK_EQ(L4_CACHE_FETCH, l4_cache_claim(&pair.b, hash_of(1), 100, &next));
    CHECK(!l4_cache_has_claim(&pair.a, &slow));
    CHECK(l4_cache_is_current(&pair.a, &slow)); /* nothing was purged: its answer is still good */
    l4_cache_end_claim(&pair.a, &slow, 0);
    CHECK(l4_cache_has_claim(&pair.b, &next));
    CHECK_EQ(0, l4_cache_purge(&pair.a, hash_of(1), L4_TEXT("?"), false));
    CHECK(!l4_cache_is_current(&pair.b, &next));
    CHECK(!l4_cache_has_claim(&pair.b, &next));
    l4_cache_end_claim(&pair.b, &next, 0);
    close_pair(&pair);
}

TEST(a_claim_becomes_the_object_unless_it_is_gone)
{
    struct l4_cache cache;
    struct l4_cache_claim claim;
    char key[32];
    make(4 << 20);
    open_cache(&cache, 0);
    CHECK_EQ(L4_CACHE_FETCH, l4_cache_claim(&cache, hash_of(1), 100, &claim));
    struct l4_cache_new new = {
        .hash = hash_of(1), .pool = POOL, .claim = claim.word, .key = key_of(1, key)};
    CHECK_EQ(L4_CACHE_STORED, l4_cache_put(&cache, &new, all, NULL));
    CHECK(!l4_cache_has_claim(&cache, &claim));
    CHECK_EQ(1, l4_cache_purge(&cache, hash_of(1), new.key, false));
    CHECK_EQ(L4_CACHE_FETCH, l4_cache_claim(&cache, hash_of(1), 100, &claim));
    new.claim = claim.word;
    l4_cache_purge(&cache, hash_of(1), new.key, false);
    CHECK_EQ(L4_CACHE_OVERTAKEN, l4_cache_put(&cache, &new, all, NULL));
    CHECK_EQ(-1, look(&cache, 1));
    l4_cache_close(&cache);
}

TEST(a_dead_workers_claims_are_free)
{
    struct pair pair;
    struct l4_cache_claim claim;
    open_pair(&pair, 4 << 20);
    CHECK_EQ(L4_CACHE_FETCH, l4_cache_claim(&pair.a, hash_of(1), 100, &claim));
    l4_cache_forget(memory, 0);
    CHECK_EQ(L4_CACHE_FETCH, l4_cache_claim(&pair.b, hash_of(1), 100, &claim));
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

MAIN(RUN(what_one_worker_stores_all_find); RUN(memory_of_another_format_is_not_opened);
     RUN(a_header_that_names_places_outside_is_not_opened); RUN(an_object_has_a_bound);
     RUN(variants_and_pools_are_kept_apart_and_purged_together);
     RUN(a_random_history_finds_the_newest_version_or_nothing);
     RUN(what_is_used_outlives_what_is_only_stored);
     RUN(what_comes_back_soon_goes_into_the_main_ring); RUN(what_is_read_is_not_written_over);
     RUN(two_reads_of_one_region_are_both_kept); RUN(a_dead_readers_pins_are_forgotten);
     RUN(one_fetches_and_others_wait_until_it_ends); RUN(a_dead_workers_claims_are_free);
     RUN(a_claim_can_be_taken_away); RUN(a_claim_becomes_the_object_unless_it_is_gone);
     RUN(what_is_purged_while_it_is_moved_does_not_come_back);
     RUN(threads_never_read_what_was_not_stored); RUN(workers_that_are_killed_leave_whole_objects))
