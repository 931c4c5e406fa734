/* Rates of many keys: exact for each key, a look takes nothing, and no rate is as long as a word
 * cannot hold. */
#include <pthread.h>
#include <string.h>

#include "check.h"
#include "core/rate_table.h"

enum { GROUPS = 4, KEYS = 3 };
static const uint64_t S = 1000000, DAY = 86400 * 1000000ull, NOW = 5000000000ull;
static struct l4_rate_group groups[GROUPS];

static void empty(void)
{
    memset(groups, 0, sizeof groups);
}

static uint64_t hash_of(uint64_t key)
{
    return (key + 1) * 0x9e3779b97f4a7c15ull;
}

static enum l4_rate_answer take(uint64_t key, uint64_t now, struct l4_rate rate, uint64_t *wait)
{
    return l4_rate_table_take(groups, GROUPS, hash_of(key), now, rate, wait);
}

static uint64_t look(uint64_t key, uint64_t now, struct l4_rate rate)
{
    return l4_rate_table_wait_us(groups, GROUPS, hash_of(key), now, rate);
}

TEST(a_key_gets_its_burst_and_then_a_token_in_each_step)
{
    const struct l4_rate rate = l4_rate_of(2, 3);
    uint64_t wait;
    empty();
    for (int i = 0; i < 3; i++)
        CHECK_EQ(L4_RATE_TAKEN, take(1, NOW, rate, &wait));
    CHECK_EQ(L4_RATE_EMPTY, take(1, NOW, rate, &wait));
    CHECK_EQ(S / 2, wait);
    CHECK_EQ(L4_RATE_EMPTY, take(1, NOW + S / 2 - 1, rate, &wait));
    CHECK_EQ(L4_RATE_TAKEN, take(1, NOW + S / 2, rate, &wait));
    CHECK_EQ(L4_RATE_EMPTY, take(1, NOW + S / 2, rate, &wait));
    CHECK_EQ(L4_RATE_TAKEN, take(2, NOW, rate, &wait));
}

TEST(a_look_says_what_a_take_would_and_takes_nothing)
{
    const struct l4_rate rate = {.step_us = 500000, .burst = 2};
    uint64_t wait;
    empty();
    for (uint64_t now = NOW; now < NOW + 5 * S; now += 70000) {
        const uint64_t seen = look(7, now, rate);
        CHECK_EQ(seen, look(7, now, rate));
        CHECK_EQ(seen ? L4_RATE_EMPTY : L4_RATE_TAKEN, take(7, now, rate, &wait));
        CHECK_EQ(seen, wait);
    }
    CHECK_EQ(0, look(8, NOW, rate));
}

TEST(a_token_may_take_a_day)
{
    const struct l4_rate rate = {.step_us = DAY, .burst = 1};
    uint64_t wait;
    empty();
    CHECK_EQ(L4_RATE_TAKEN, take(1, NOW, rate, &wait));
    CHECK_EQ(DAY, look(1, NOW, rate));
    CHECK_EQ(L4_RATE_EMPTY, take(1, NOW + DAY - 1, rate, &wait));
    CHECK_EQ(L4_RATE_TAKEN, take(1, NOW + DAY, rate, &wait));
}

static void *drain(void *taken)
{
    uint64_t wait;
    for (uint64_t i = 0; i < 3000; i++)
        *(uint64_t *)taken += take(i % KEYS, NOW, l4_rate_of(1, 500), &wait) == L4_RATE_TAKEN;
    return NULL;
}

TEST(many_threads_together_get_no_token_more_than_there_are)
{
    pthread_t threads[4];
    uint64_t taken[4] = {0}, all = 0;
    empty();
    for (int i = 0; i < 4; i++)
        CHECK_EQ(0, pthread_create(&threads[i], NULL, drain, &taken[i]));
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(0, pthread_join(threads[i], NULL));
        all += taken[i];
    }
    CHECK_EQ(KEYS * 500, all);
}

MAIN(RUN(a_key_gets_its_burst_and_then_a_token_in_each_step);
     RUN(a_look_says_what_a_take_would_and_takes_nothing); RUN(a_token_may_take_a_day);
     RUN(many_threads_together_get_no_token_more_than_there_are);)
