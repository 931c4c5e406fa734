/* The promises of the algorithms: shares, stability of hashes, slow starts, and the Maglev table.
 */
#include <string.h>

#include "base/random.h"
#include "check.h"
#include "core/maglev.h"
#include "core/response.h"
#include "table.h"

enum { MANY = 100, SMALL = 65537, KEYS = 50000 };

static uint64_t state = 7;

/* Makes a pick and gives its place back at once. Returns the backend. */
static uint32_t choose(uint64_t hash, uint64_t now_ms)
{
    const struct l4_pick_request request = {
        .hash = hash, .random = l4_random(&state), .now_ms = now_ms};
    const uint32_t backend = l4_pick(&table, &request).backend;
    if (backend != L4_NONE)
        l4_count_drop_backend(&table, 0, backend);
    return backend;
}

static void name_backends(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        snprintf(l4_table_backend(&table, i)->name, L4_NAME_MAX, "10.1.%u.%u:80", i / 256, i % 256);
}

static void maglev_of(uint32_t count, const uint32_t *weights, uint32_t size)
{
    table_with(1, count, weights, L4_MAGLEV);
    name_backends(count);
    L4_SET(l4_table_pool(&table, 0)->maglev_size, size);
    CHECK_EQ(0, l4_view_publish(&table, 0));
}

static const uint16_t *maglev_slots(void)
{
    struct l4_pool *pool = l4_table_pool(&table, 0);
    return l4_view_maglev(&table, l4_table_view(&table, 0, L4_GET(pool->view_generation)));
}

/* Returns Pearson's statistic of the counts against the shares of the weights. */
static double chi_square(const uint32_t *counts, const uint32_t *weights, uint32_t n)
{
    double sum = 0, total = 0, chi = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += weights[i], total += counts[i];
    for (uint32_t i = 0; i < n; i++) {
        const double due = total * weights[i] / sum;
        chi += (counts[i] - due) * (counts[i] - due) / due;
    }
    return chi;
}

TEST(random_gives_shares_by_weight)
{
    const uint32_t weights[] = {5, 3, 1, 7};
    uint32_t counts[4] = {0};
    table_with(1, 4, weights, L4_RANDOM);
    for (int i = 0; i < 16000; i++)
        counts[choose(0, 0)]++;
    CHECK(chi_square(counts, weights, 4) < 16.27); /* p = 0.001 at 3 degrees of freedom */
    l4_table_close(&table);
}

TEST(random_keeps_the_fullest_near_the_mean)
{
    table_with(1, 50, NULL, L4_RANDOM);
    for (int i = 0; i < 5000; i++) {
        const struct l4_pick_request request = {.random = l4_random(&state)};
        l4_pick(&table, &request);
    }
    for (uint32_t b = 0; b < 50; b++)
        CHECK(L4_GET(l4_table_backend(&table, b)->inflight) <= 105);
    l4_table_close(&table);
}

TEST(first_fills_one_backend_before_the_next)
{
    table_with(1, 3, NULL, L4_FIRST);
    for (uint32_t b = 0; b < 3; b++)
        L4_SET(l4_table_backend(&table, b)->max_connections, 2);
    for (uint32_t i = 0; i < 6; i++)
        CHECK_EQ(i / 2, pick_for(0));
    CHECK_EQ(L4_NONE, pick_for(0));
    l4_count_drop_backend(&table, 0, 1);
    CHECK_EQ(1, pick_for(0));
    l4_table_close(&table);
}

static void check_that_only_the_dead_ones_clients_move(void)
{
    static uint32_t before[KEYS];
    uint32_t counts[10] = {0}, of_dead = 0;
    const uint32_t equal[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    for (int i = 0; i < KEYS; i++)
        before[i] = choose(l4_hash_again(1, (uint64_t)i), 0);
    L4_SET(l4_table_backend(&table, 9)->health, L4_DOWN);
    for (int i = 0; i < KEYS; i++) {
        const uint32_t now = choose(l4_hash_again(1, (uint64_t)i), 0);
        if (before[i] == 9)
            counts[now]++, of_dead++;
        else
            CHECK_EQ(before[i], now);
    }
    CHECK(of_dead > KEYS / 12);
    CHECK_EQ(0, counts[9]);
    CHECK(chi_square(counts, equal, 9) < 26.12); /* p = 0.001 at 8 degrees of freedom */
    l4_table_close(&table);
}

TEST(ip_hash_spreads_a_dead_backends_clients_evenly_and_moves_no_other)
{
    table_with(1, 10, NULL, L4_IP_HASH);
    check_that_only_the_dead_ones_clients_move();
}

TEST(maglev_spreads_a_dead_backends_clients_evenly_and_moves_no_other)
{
    maglev_of(10, NULL, SMALL);
    check_that_only_the_dead_ones_clients_move();
}

TEST(a_hash_that_finds_nothing_in_its_slots_still_finds_the_one_that_is_up)
{
    table_with(1, 200, NULL, L4_IP_HASH);
    for (uint32_t b = 0; b < 200; b++)
        L4_SET(l4_table_backend(&table, b)->health, b == 77 ? L4_UP : L4_DOWN);
    for (uint64_t i = 0; i < 100; i++)
        CHECK_EQ(77, choose(l4_hash_again(2, i), 0));
    l4_table_close(&table);
}

TEST(hash_balance_bounds_a_backends_load_though_all_clients_are_one)
{
    maglev_of(10, NULL, SMALL);
    L4_SET(l4_table_pool(&table, 0)->hash_balance_percent, 125);
    for (int i = 0; i < 400; i++) {
        const struct l4_pick_request request = {.hash = 42};
        CHECK(l4_pick(&table, &request).backend != L4_NONE);
    }
    for (uint32_t b = 0; b < 10; b++)
        CHECK(L4_GET(l4_table_backend(&table, b)->inflight) <= 50);
    l4_table_close(&table);
}

TEST(a_maglev_table_is_even)
{
    uint32_t counts[MANY] = {0}, max = 0;
    maglev_of(MANY, NULL, SMALL);
    for (int i = 0; i < SMALL; i++)
        counts[maglev_slots()[i]]++;
    for (int b = 0; b < MANY; b++)
        max = counts[b] > max ? counts[b] : max;
    CHECK(max * (double)MANY / SMALL <= 1.02);
    l4_table_close(&table);
}

TEST(a_maglev_table_follows_weights)
{
    const uint32_t weights[] = {5, 3, 1, 0, 256};
    uint32_t counts[5] = {0};
    maglev_of(5, weights, SMALL);
    for (int i = 0; i < SMALL; i++)
        counts[maglev_slots()[i]]++;
    for (int b = 0; b < 5; b++) {
        const double due = SMALL * weights[b] / 265.0;
        CHECK(counts[b] >= due * 0.98 - 1 && counts[b] <= due * 1.02 + 1);
    }
    l4_table_close(&table);
}

TEST(removing_one_of_a_hundred_moves_few_keys_of_others_and_its_return_restores_all)
{
    static uint16_t before[SMALL];
    uint32_t moved = 0, others = 0;
    maglev_of(MANY, NULL, SMALL);
    memcpy(before, maglev_slots(), sizeof before);
    L4_SET(l4_table_backend(&table, 37)->used, 0);
    CHECK_EQ(0, l4_view_publish(&table, 0));
    for (int i = 0; i < SMALL; i++) {
        CHECK(maglev_slots()[i] != 37);
        others += before[i] != 37;
        moved += before[i] != 37 && before[i] != maglev_slots()[i];
    }
    CHECK(moved <= others * 0.015);
    L4_SET(l4_table_backend(&table, 37)->used, 2);
    CHECK_EQ(0, l4_view_publish(&table, 0));
    CHECK(memcmp(before, maglev_slots(), sizeof before) == 0);
    l4_table_close(&table);
}

TEST(a_maglev_table_depends_on_names_and_weights_only)
{
    static uint8_t names[SMALL];
    maglev_of(20, NULL, SMALL);
    for (int i = 0; i < SMALL; i++)
        names[i] = (uint8_t)maglev_slots()[i];
    l4_table_close(&table);
    table_with(1, 20, NULL, L4_MAGLEV); /* equal names in other rows, and another hash key */
    table.header->hash_key = (struct l4_hash_key){1, 2};
    for (uint32_t i = 0; i < 20; i++)
        snprintf(l4_table_backend(&table, 19 - i)->name, L4_NAME_MAX, "10.1.0.%u:80", i);
    L4_SET(l4_table_pool(&table, 0)->maglev_size, SMALL);
    CHECK_EQ(0, l4_view_publish(&table, 0));
    uint32_t same = 0;
    for (int i = 0; i < SMALL; i++)
        same += names[i] == 19 - maglev_slots()[i];
    CHECK_EQ(SMALL, same);
    l4_table_close(&table);
}

static void count(uint64_t now_ms, uint32_t *counts, int picks)
{
    memset(counts, 0, 4 * sizeof *counts);
    for (int i = 0; i < picks; i++)
        counts[choose(l4_random(&state), now_ms)]++;
}

/* Backend 3 returned at 10,000; its slow start lasts 8,000. */
static void check_ramp(enum l4_balance balance)
{
    uint32_t counts[4];
    if (balance == L4_MAGLEV)
        maglev_of(4, NULL, SMALL);
    else
        table_with(1, 4, NULL, balance);
    L4_SET(l4_table_pool(&table, 0)->slow_start_ms, 8000);
    L4_SET(l4_table_backend(&table, 3)->up_since_ms, 10000);
    count(10080, counts, 8000);
    CHECK(counts[3] < 100);
    count(14000, counts, 8000); /* half of its weight: 1 of 7 sessions */
    CHECK(counts[3] > 800 && counts[3] < 1450);
    count(18000, counts, 8000);
    CHECK(counts[3] > 1800 && counts[3] < 2200);
    for (uint32_t b = 0; b < 4; b++) /* if all start slowly together, none starves */
        L4_SET(l4_table_backend(&table, b)->up_since_ms, 20000);
    count(20001, counts, 8000);
    for (uint32_t b = 0; b < 4; b++)
        CHECK(counts[b] > 1500 && counts[b] < 2500);
    l4_table_close(&table);
}

TEST(round_robin_starts_slowly)
{
    check_ramp(L4_ROUND_ROBIN);
}

TEST(random_starts_slowly)
{
    check_ramp(L4_RANDOM);
}

TEST(hashes_start_slowly)
{
    check_ramp(L4_IP_HASH);
    check_ramp(L4_MAGLEV);
}

TEST(backups_serve_only_without_a_primary_and_all_of_them_only_if_told)
{
    uint32_t counts[4];
    table_with(1, 4, NULL, L4_ROUND_ROBIN);
    L4_SET(l4_table_backend(&table, 2)->flags, L4_BACKUP);
    L4_SET(l4_table_backend(&table, 3)->flags, L4_BACKUP);
    count(0, counts, 40);
    CHECK_EQ(20, counts[0]);
    CHECK_EQ(20, counts[1]);
    L4_SET(l4_table_backend(&table, 0)->health, L4_DOWN);
    count(0, counts, 40);
    CHECK_EQ(40, counts[1]);
    L4_SET(l4_table_backend(&table, 1)->state, L4_DRAIN);
    count(0, counts, 40);
    CHECK_EQ(40, counts[2]);
    L4_SET(l4_table_pool(&table, 0)->all_backups, 1);
    count(0, counts, 40);
    CHECK_EQ(20, counts[2]);
    CHECK_EQ(20, counts[3]);
    l4_table_close(&table);
}

TEST(a_response_time_fades_under_many_fast_samples_as_without_any)
{
    _Atomic uint64_t word = 0, quiet = 0;
    l4_response_observe(&word, 1000, 20000);
    l4_response_observe(&quiet, 1000, 20000);
    CHECK_EQ(20000, l4_response_read(&word, 1000));
    for (uint64_t ms = 1000; ms < 9000; ms++)
        for (int i = 0; i < 3; i++)
            l4_response_observe(&word, ms, 200);
    CHECK(l4_response_read(&word, 9000) < 600);
    CHECK(l4_response_read(&word, 9000) >= 100);
    CHECK(l4_response_read(&quiet, 9000) < 600);
}

TEST(a_slower_sample_is_believed_at_once)
{
    _Atomic uint64_t word = 0;
    l4_response_observe(&word, 1000, 100);
    l4_response_observe(&word, 1000, 50000);
    CHECK_EQ(50000, l4_response_read(&word, 1000));
    CHECK(l4_response_read(&word, 2000) <= 25000);
    l4_response_observe(&word, 1000,
                        1ull << 40); /* a time too long for the word becomes its maximum */
    CHECK(l4_response_read(&word, 1000) > 67000000);
}

/* Backend b answers every pick after its own time. Counts the picks that each backend gets. */
static void run_answering(uint64_t *now_us, const uint64_t *answer_us, uint32_t *counts, int picks)
{
    memset(counts, 0, 4 * sizeof *counts);
    for (int i = 0; i < picks; i++) {
        const uint32_t b = choose(0, *now_us / 1000);
        counts[b]++;
        *now_us += answer_us[b];
        l4_response_observe(&l4_table_backend(&table, b)->response, *now_us / 1000, answer_us[b]);
        *now_us += 1000;
    }
}

TEST(least_response_time_leaves_a_slow_backend_and_returns_to_it)
{
    uint64_t now_us = 5000000, answer_us[4] = {1000, 1200, 900, 1100};
    uint32_t counts[4];
    table_with(1, 4, NULL, L4_LEAST_RESPONSE_TIME);
    run_answering(&now_us, answer_us, counts, 4000);
    for (uint32_t b = 0; b < 4; b++)
        CHECK(counts[b] > 800 && counts[b] < 1200);
    answer_us[2] += 20000;
    run_answering(&now_us, answer_us, counts, 4000);
    CHECK(counts[2] < 40);
    answer_us[2] -= 20000;
    const uint64_t recovered = now_us;
    run_answering(&now_us, answer_us, counts, 3000);
    CHECK(now_us - recovered < 10000000);
    run_answering(&now_us, answer_us, counts, 4000);
    for (uint32_t b = 0; b < 4; b++)
        CHECK(counts[b] > 800 && counts[b] < 1200);
    l4_table_close(&table);
}

TEST(a_backend_that_owes_an_answer_grows_slower_with_its_silence)
{
    table_with(2, 2, NULL, L4_LEAST_RESPONSE_TIME);
    struct l4_backend *b = l4_table_backend(&table, 1);
    CHECK_EQ(0, l4_count_owe(&table, 1, 1));
    L4_SET(b->silent_since_ms, 4000);
    CHECK_EQ(3000000, l4_response_of(b, 7000));
    for (int i = 0; i < 10; i++)
        CHECK_EQ(0, choose(0, 7000));
    l4_count_answer(&table, 1, 1);
    CHECK_EQ(0, l4_response_of(b, 7000));
    CHECK_EQ(0, l4_count_owe(&table, 1, 1)); /* an attempt of a dead worker is forgotten */
    l4_count_clear(&table, 1);
    CHECK_EQ(0, l4_count_settle(&table));
    CHECK_EQ(0, L4_GET(b->owed));
    l4_table_close(&table);
}

MAIN(RUN(random_gives_shares_by_weight); RUN(random_keeps_the_fullest_near_the_mean);
     RUN(first_fills_one_backend_before_the_next);
     RUN(ip_hash_spreads_a_dead_backends_clients_evenly_and_moves_no_other);
     RUN(maglev_spreads_a_dead_backends_clients_evenly_and_moves_no_other);
     RUN(a_hash_that_finds_nothing_in_its_slots_still_finds_the_one_that_is_up);
     RUN(hash_balance_bounds_a_backends_load_though_all_clients_are_one);
     RUN(a_maglev_table_is_even); RUN(a_maglev_table_follows_weights);
     RUN(removing_one_of_a_hundred_moves_few_keys_of_others_and_its_return_restores_all);
     RUN(a_maglev_table_depends_on_names_and_weights_only); RUN(round_robin_starts_slowly);
     RUN(random_starts_slowly); RUN(hashes_start_slowly);
     RUN(backups_serve_only_without_a_primary_and_all_of_them_only_if_told);
     RUN(a_response_time_fades_under_many_fast_samples_as_without_any);
     RUN(a_slower_sample_is_believed_at_once);
     RUN(least_response_time_leaves_a_slow_backend_and_returns_to_it);
     RUN(a_backend_that_owes_an_answer_grows_slower_with_its_silence))
