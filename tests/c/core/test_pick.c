/* Schedules and picks against naive oracles. */
#include <string.h>

#include "check.h"
#include "core/schedule.h"
#include "table.h"

static uint32_t scaled[64];
static int64_t credit[64];
static uint16_t slots[L4_SLOTS_MAX];

TEST(five_one_one_gives_the_smooth_sequence_of_nginx)
{
    const uint32_t weights[] = {5, 1, 1};
    const uint16_t due[] = {0, 0, 1, 0, 2, 0, 0};
    CHECK_EQ(7, l4_schedule_build(weights, 3, scaled, credit, slots));
    CHECK(memcmp(due, slots, sizeof due) == 0);
}

TEST(weights_are_divided_by_what_they_share)
{
    const uint32_t weights[] = {200, 100, 0};
    CHECK_EQ(3, l4_schedule_build(weights, 3, scaled, credit, slots));
}

TEST(all_weights_zero_gives_no_slot)
{
    const uint32_t weights[] = {0, 0};
    CHECK_EQ(0, l4_schedule_build(weights, 2, scaled, credit, slots));
    CHECK_EQ(0, l4_schedule_build(weights, 0, scaled, credit, slots));
}

/* In every prefix of the schedule each member is within one of its exact share. */
TEST(every_prefix_of_random_schedules_is_within_one_of_the_exact_share)
{
    srand(3);
    for (int round = 0; round < 200; round++) {
        uint32_t weights[8], members = 1 + (uint32_t)rand() % 8;
        double sum = 0, given[8] = {0};
        for (uint32_t i = 0; i < members; i++)
            sum += weights[i] = 1 + (uint32_t)rand() % 20;
        const uint32_t count = l4_schedule_build(weights, members, scaled, credit, slots);
        for (uint32_t slot = 0; slot < count; slot++) {
            given[slots[slot]]++;
            for (uint32_t i = 0; i < members; i++) {
                const double due = (slot + 1) * weights[i] / sum;
                CHECK(given[i] > due - 1.5 && given[i] < due + 1.5);
            }
        }
        for (uint32_t i = 0; i < members; i++)
            CHECK(given[i] * sum == weights[i] * (double)count);
    }
}

TEST(weights_that_would_need_too_many_slots_are_scaled_and_nobody_starves)
{
    static uint32_t many[2000], scaled_many[2000], seen[2000];
    static int64_t credit_many[2000];
    for (uint32_t i = 0; i < 2000; i++)
        many[i] = i % 2 ? 255 : 256;
    const uint32_t count = l4_schedule_build(many, 2000, scaled_many, credit_many, slots);
    CHECK(count > 0 && count <= L4_SLOTS_MAX);
    for (uint32_t i = 0; i < count; i++)
        seen[slots[i]]++;
    for (uint32_t i = 0; i < 2000; i++)
        CHECK(seen[i] > 0);
}

TEST(round_robin_over_two_workers_is_exact)
{
    const uint32_t weights[] = {5, 3, 1};
    table_with(2, 3, weights, L4_ROUND_ROBIN);
    uint32_t given[3] = {0};
    for (int i = 0; i < 900; i++)
        given[pick_for((uint32_t)i % 7 == 0)]++;
    CHECK_EQ(500, given[0]);
    CHECK_EQ(300, given[1]);
    CHECK_EQ(100, given[2]);
    CHECK_EQ(500, L4_GET(l4_table_backend(&table, 0)->inflight));
    l4_table_close(&table);
}

TEST(round_robin_keeps_the_others_shares_while_one_is_down)
{
    const uint32_t weights[] = {5, 3, 1};
    table_with(1, 3, weights, L4_ROUND_ROBIN);
    L4_SET(l4_table_backend(&table, 0)->health, L4_DOWN);
    uint32_t given[3] = {0};
    for (int i = 0; i < 400; i++)
        given[pick_for(0)]++;
    CHECK_EQ(0, given[0]);
    CHECK_EQ(300, given[1]);
    CHECK_EQ(100, given[2]);
    l4_table_close(&table);
}

TEST(nothing_usable_gives_nothing_and_try_all_gives_the_down_ones)
{
    table_with(1, 2, NULL, L4_ROUND_ROBIN);
    L4_SET(l4_table_backend(&table, 0)->health, L4_DOWN);
    L4_SET(l4_table_backend(&table, 1)->state, L4_MAINT);
    CHECK_EQ(L4_NONE, pick_for(0));
    L4_SET(l4_table_pool(&table, 0)->all_down, L4_TRY_ALL);
    CHECK_EQ(0, pick_for(0));
    L4_SET(l4_table_backend(&table, 0)->state, L4_DRAIN);
    CHECK_EQ(L4_NONE, pick_for(0));
    l4_table_close(&table);
}

TEST(a_tried_backend_is_not_picked_again)
{
    table_with(1, 3, NULL, L4_LEAST_CONNECTIONS);
    const uint16_t tried[] = {0, 2};
    const struct l4_pick_request request = {.tried = tried, .tried_count = 2};
    for (int i = 0; i < 5; i++)
        CHECK_EQ(1, l4_pick(&table, &request).backend);
    l4_table_close(&table);
}

TEST(max_connections_is_never_passed)
{
    table_with(1, 2, NULL, L4_ROUND_ROBIN);
    L4_SET(l4_table_backend(&table, 0)->max_connections, 3);
    L4_SET(l4_table_backend(&table, 1)->max_connections, 2);
    for (int i = 0; i < 5; i++)
        CHECK(pick_for(0) != L4_NONE);
    CHECK_EQ(L4_NONE, pick_for(0));
    CHECK_EQ(3, L4_GET(l4_table_backend(&table, 0)->inflight));
    l4_count_drop_backend(&table, 0, 0);
    CHECK_EQ(0, pick_for(0));
    l4_table_close(&table);
}

TEST(a_pools_max_connections_holds_over_its_backends)
{
    table_with(2, 2, NULL, L4_LEAST_CONNECTIONS);
    L4_SET(l4_table_pool(&table, 0)->max_connections, 5);
    for (uint32_t i = 0; i < 5; i++)
        CHECK(pick_for(i & 1) != L4_NONE);
    CHECK_EQ(L4_NONE, pick_for(0));
    l4_count_drop_backend(&table, 1, 1);
    CHECK(pick_for(0) != L4_NONE);
    l4_table_close(&table);
}

/* Opens and closes at random. After each open a naive oracle with exact fractions checks that no
 * backend with a smaller load could have been chosen. */
TEST(least_connections_always_gives_the_least_loaded)
{
    const uint32_t weights[] = {1, 2, 5, 3};
    srand(11);
    table_with(3, 4, weights, L4_LEAST_CONNECTIONS);
    uint32_t held[3][4] = {{0}};
    for (int i = 0; i < 20000; i++) {
        const uint32_t worker = (uint32_t)rand() % 3;
        if (rand() % 100 < 52) {
            double min = 1e9;
            for (uint32_t b = 0; b < 4; b++) {
                const double load =
                    (2.0 * L4_GET(l4_table_backend(&table, b)->inflight) + 1) / weights[b];
                min = load < min ? load : min;
            }
            const uint32_t b = pick_for(worker);
            held[worker][b]++;
            const double was =
                (2.0 * (L4_GET(l4_table_backend(&table, b)->inflight) - 1) + 1) / weights[b];
            CHECK(was <= min + 1e-9);
        } else {
            const uint32_t b = (uint32_t)rand() % 4;
            if (held[worker][b]) {
                held[worker][b]--;
                l4_count_drop_backend(&table, worker, b);
            }
        }
    }
    l4_table_close(&table);
}

TEST(least_connections_at_rest_is_within_one_of_the_exact_share)
{
    const uint32_t weights[] = {5, 3, 1};
    table_with(2, 3, weights, L4_LEAST_CONNECTIONS);
    for (int i = 0; i < 3000; i++)
        pick_for((uint32_t)i & 1);
    for (uint32_t b = 0; b < 3; b++) {
        const double due = 3000.0 * weights[b] / 9,
                     is = L4_GET(l4_table_backend(&table, b)->inflight);
        CHECK(is > due - 1 && is < due + 1);
    }
    l4_table_close(&table);
}

MAIN(RUN(five_one_one_gives_the_smooth_sequence_of_nginx);
     RUN(weights_are_divided_by_what_they_share); RUN(all_weights_zero_gives_no_slot);
     RUN(every_prefix_of_random_schedules_is_within_one_of_the_exact_share);
     RUN(weights_that_would_need_too_many_slots_are_scaled_and_nobody_starves);
     RUN(round_robin_over_two_workers_is_exact);
     RUN(round_robin_keeps_the_others_shares_while_one_is_down);
     RUN(nothing_usable_gives_nothing_and_try_all_gives_the_down_ones);
     RUN(a_tried_backend_is_not_picked_again); RUN(max_connections_is_never_passed);
     RUN(a_pools_max_connections_holds_over_its_backends);
     RUN(least_connections_always_gives_the_least_loaded);
     RUN(least_connections_at_rest_is_within_one_of_the_exact_share))
