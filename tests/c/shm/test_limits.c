/* The table of sources: counts are exact while many workers change them, and after one is killed.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "core/token_bucket.h"
#include "shm/policy_rows.h"
#include "shm/source_limits.h"
#include "shm/tls_counters.h"
#include "table.h"

static uint64_t hash_of(uint64_t n)
{
    return l4_hash_again(n, 77);
}

static enum l4_source_answer take(uint32_t worker, uint64_t n, uint32_t limit, uint32_t *source)
{
    return l4_source_take(&table, worker, hash_of(n), limit, 1000, source);
}

static uint64_t sessions_of(uint32_t source)
{
    const struct l4_source_group *group = l4_table_sources(&table, source / L4_SOURCE_WAYS);
    return group->words[source % L4_SOURCE_WAYS] & ((1u << L4_SOURCE_COUNT_BITS) - 1);
}

TEST(a_source_has_as_many_sessions_as_its_limit_and_its_place_is_given_back)
{
    uint32_t source = 0, other = 0;
    table_with(2, 1, NULL, L4_ROUND_ROBIN);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(L4_SOURCE_TAKEN, take((uint32_t)i % 2, 1, 3, &source));
    CHECK_EQ(3, sessions_of(source));
    CHECK_EQ(L4_SOURCE_FULL, take(0, 1, 3, &other));
    CHECK_EQ(source, other);
    CHECK_EQ(L4_SOURCE_TAKEN, take(0, 2, 3, &other));
    CHECK(source != other);
    l4_source_drop(&table, 0, source);
    CHECK_EQ(L4_SOURCE_TAKEN, take(1, 1, 3, &source));
    CHECK_EQ(L4_SOURCE_FULL, take(1, 1, 3, &source));
    l4_table_close(&table);
}

TEST(places_without_sessions_and_debts_serve_other_sources)
{
    enum { MANY = 4 * L4_SOURCE_GROUPS * L4_SOURCE_WAYS };
    uint32_t source = 0;
    table_with(1, 1, NULL, L4_ROUND_ROBIN);
    for (uint64_t i = 0; i < MANY; i++) {
        CHECK_EQ(L4_SOURCE_TAKEN, take(0, i, 1, &source));
        l4_source_drop(&table, 0, source);
    }
    l4_table_close(&table);
}

TEST(a_source_in_debt_keeps_its_place)
{
    uint32_t source = 0, again = 0, other = 0;
    uint64_t n = 0;
    table_with(1, 1, NULL, L4_ROUND_ROBIN);
    CHECK_EQ(L4_SOURCE_TAKEN, take(0, 5, 0, &source));
    CHECK(l4_rate_take(l4_source_full_ns(&table, source), 1000, 10, 1));
    l4_source_drop(&table, 0, source);
    for (int taken = 0; taken < 2 * L4_SOURCE_WAYS && n < 1000000; n++) {
        CHECK_EQ(L4_SOURCE_TAKEN, take(0, 100 + n, 0, &other));
        taken += other / L4_SOURCE_WAYS == source / L4_SOURCE_WAYS;
        CHECK(other != source);
        l4_source_drop(&table, 0, other);
    }
    CHECK_EQ(L4_SOURCE_TAKEN, take(0, 5, 0, &again));
    CHECK_EQ(source, again);
    CHECK(!l4_rate_take(l4_source_full_ns(&table, again), 1000, 10, 1));
    CHECK(l4_rate_take(l4_source_full_ns(&table, again), 1000 + 100000000, 10, 1));
    l4_table_close(&table);
}

TEST(when_all_places_of_a_hash_are_taken_it_is_told)
{
    uint32_t source = 0;
    int none = 0;
    table_with(1, 1, NULL, L4_ROUND_ROBIN);
    for (uint64_t i = 0; i < 2 * L4_SOURCE_GROUPS * L4_SOURCE_WAYS; i++)
        none += take(0, i, 0, &source) == L4_SOURCE_NO_ROOM;
    CHECK(none > 0);
    CHECK(none < 2 * L4_SOURCE_GROUPS * L4_SOURCE_WAYS);
    l4_table_close(&table);
}

enum { LIMIT = 5, ROUNDS = 200000 };
static _Atomic int max, now_held;

static void *churn(void *worker)
{
    uint32_t source = 0;
    for (int i = 0; i < ROUNDS; i++) {
        if (take((uint32_t)(uintptr_t)worker, 9, LIMIT, &source) != L4_SOURCE_TAKEN)
            continue;
        const int held = atomic_fetch_add(&now_held, 1) + 1;
        for (int seen = atomic_load(&max); held > seen;) {
            if (atomic_compare_exchange_weak(&max, &seen, held))
                break;
        }
        atomic_fetch_sub(&now_held, 1);
        l4_source_drop(&table, (uint32_t)(uintptr_t)worker, source);
    }
    return NULL;
}

TEST(workers_at_once_never_give_a_source_more_than_its_limit)
{
    pthread_t threads[8];
    uint32_t source = 0;
    table_with(8, 1, NULL, L4_ROUND_ROBIN);
    for (uintptr_t i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, churn, (void *)i);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    CHECK(atomic_load(&max) <= LIMIT);
    CHECK_EQ(L4_SOURCE_TAKEN, take(0, 9, LIMIT, &source));
    CHECK_EQ(1, sessions_of(source));
    l4_table_close(&table);
}

static void *shake(void *worker)
{
    const uint32_t me = (uint32_t)(uintptr_t)worker;
    for (int i = 0; i < ROUNDS; i++) {
        if (!l4_count_take_shake(&table, me, 1, LIMIT))
            continue;
        const int held = atomic_fetch_add(&now_held, 1) + 1;
        for (int seen = atomic_load(&max); held > seen;) {
            if (atomic_compare_exchange_weak(&max, &seen, held))
                break;
        }
        atomic_fetch_sub(&now_held, 1);
        l4_count_drop_shake(&table, me, 1);
    }
    return NULL;
}

TEST(workers_at_once_never_begin_more_handshakes_than_the_limit)
{
    pthread_t threads[8];
    table_with(8, 1, NULL, L4_ROUND_ROBIN);
    atomic_store(&max, 0);
    for (uintptr_t i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, shake, (void *)i);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    CHECK(atomic_load(&max) > 0);
    CHECK(atomic_load(&max) <= LIMIT);
    CHECK_EQ(0, L4_GET(l4_table_listener(&table, 1)->secure.shaking));
    for (int i = 0; i < LIMIT; i++)
        CHECK(l4_count_take_shake(&table, (uint32_t)i, 1, LIMIT));
    CHECK(!l4_count_take_shake(&table, 7, 1, LIMIT));
    CHECK(l4_count_take_shake(&table, 7, 0, LIMIT)); /* another address has its own limit */
    l4_table_close(&table);
}

TEST(what_a_killed_worker_held_is_given_back_exactly)
{
    for (int round = 0; round < 30; round++) {
        uint32_t source = 0;
        table_with(2, 1, NULL, L4_ROUND_ROBIN);
        CHECK_EQ(L4_SOURCE_TAKEN, take(1, 9, 0, &source));
        CHECK_EQ(L4_SOURCE_TAKEN, take(1, 9, 0, &source));
        CHECK(l4_count_take_listener(&table, 1, 0, 0));
        CHECK(l4_count_take_shake(&table, 1, 1, 0));
        L4_SET(l4_table_listener(&table, 0)->used, 1);
        const pid_t child = fork();
        if (child == 0) {
            for (;;) {
                uint32_t one = 0, two = 0;
                (void)take(0, 9, 0, &one);
                (void)take(0, 9, 0, &two);
                (void)l4_count_take_listener(&table, 0, 0, 0);
                (void)l4_count_take_shake(&table, 0, 1, 0);
                (void)l4_count_take_shake(&table, 0, 1, 0);
                l4_count_drop_shake(&table, 0, 1);
                l4_source_drop(&table, 0, one);
            }
        }
        usleep(1000 + 137 * (unsigned)round);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        l4_count_clear(&table, 0);
        CHECK_EQ(0, l4_count_settle(&table));
        CHECK_EQ(2, sessions_of(source));
        CHECK_EQ(1, L4_GET(l4_table_listener(&table, 0)->edge.limits.inflight));
        CHECK_EQ(1, L4_GET(l4_table_listener(&table, 1)->secure.shaking));
        l4_table_close(&table);
    }
}

TEST(a_bucket_gives_its_burst_and_then_its_rate)
{
    _Atomic uint64_t full = 0;
    uint64_t now = 5000000000ull;
    int given = 0;
    for (int i = 0; i < 100; i++)
        given += l4_rate_take(&full, now, 10, 7);
    CHECK_EQ(7, given);
    for (int tenths = 0; tenths < 50; tenths++) {
        now += L4_NS_PER_S / 10;
        for (int i = 0; i < 5; i++)
            given += l4_rate_take(&full, now, 10, 7);
    }
    CHECK_EQ(57, given);
    now += 100ull * L4_NS_PER_S;
    for (int i = 0; i < 100; i++)
        given += l4_rate_take(&full, now, 10, 7);
    CHECK_EQ(64, given);
}

TEST(bytes_that_were_used_are_waited_for)
{
    _Atomic uint64_t full = 0;
    const uint64_t now = 5000000000ull;
    l4_rate_spend(&full, now, 1000, 500);
    CHECK_EQ(L4_NS_PER_S / 2, l4_rate_wait_ns(&full, now, 0));
    CHECK_EQ(L4_NS_PER_S / 4, l4_rate_wait_ns(&full, now + L4_NS_PER_S / 4, 0));
    CHECK_EQ(0, l4_rate_wait_ns(&full, now + L4_NS_PER_S / 2, 0));
    CHECK_EQ(0, l4_rate_wait_ns(&full, now, L4_NS_PER_S));
}

MAIN(RUN(a_source_has_as_many_sessions_as_its_limit_and_its_place_is_given_back);
     RUN(places_without_sessions_and_debts_serve_other_sources);
     RUN(a_source_in_debt_keeps_its_place); RUN(when_all_places_of_a_hash_are_taken_it_is_told);
     RUN(workers_at_once_never_give_a_source_more_than_its_limit);
     RUN(workers_at_once_never_begin_more_handshakes_than_the_limit);
     RUN(what_a_killed_worker_held_is_given_back_exactly);
     RUN(a_bucket_gives_its_burst_and_then_its_rate); RUN(bytes_that_were_used_are_waited_for))
