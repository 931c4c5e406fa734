/* Load shedding: which sessions are ended when there is no room, against a naive oracle. */
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "check.h"
#include "core/shed.h"

enum { LEAST = 100 };

static struct l4_shed_row rows[L4_SHED_LOOK];
static uint32_t chosen[L4_SHED_LOOK];

static uint32_t held_by(uint32_t count, uint32_t source)
{
    uint32_t held = 0;
    for (uint32_t i = 0; i < count; i++)
        held += rows[i].source == source;
    return held;
}

static uint32_t sources_in(uint32_t count)
{
    uint32_t sources = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t before = 0;
        for (uint32_t j = 0; j < i; j++)
            before += rows[j].source == rows[i].source;
        sources += before == 0;
    }
    return sources;
}

static uint32_t idle_of(uint32_t count, uint32_t source)
{
    uint32_t idle = 0;
    for (uint32_t i = 0; i < count; i++)
        idle += rows[i].source == source && rows[i].idle_ms >= LEAST;
    return idle;
}

/* The naive oracle: how many sessions must end, of a source with how many; 0: none. */
static uint32_t expected(uint32_t count, uint32_t max, uint32_t *held)
{
    const uint32_t among = sources_in(count) + 1, fair = (count + among - 1) / among;
    uint32_t best = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t own = held_by(count, rows[i].source);
        if (own > fair && idle_of(count, rows[i].source) && own > best)
            best = own;
    }
    *held = best;
    return best ? (best - fair < max ? best - fair : max) : 0;
}

static void fill(uint64_t *random, uint32_t count, uint32_t sources)
{
    for (uint32_t i = 0; i < count; i++) {
        /* Squares a share, so that some sources hold much more than others. */
        const uint64_t share = l4_random(random) % sources;
        const uint32_t source = (uint32_t)(share * share / sources);
        rows[i] = (struct l4_shed_row){
            .source = (source + 1) * 0x10000, /* all hash to one place of the table */
            .idle_ms = (uint32_t)(l4_random(random) % (2 * LEAST)),
            .at = i,
        };
    }
}

static void check_choice(uint32_t count, uint32_t max)
{
    uint32_t held;
    const uint32_t wanted = expected(count, max, &held);
    const uint32_t found = l4_shed_choose(rows, count, LEAST, max, chosen);
    const uint32_t source = found ? rows[chosen[0]].source : 0;
    const uint32_t idle = idle_of(count, source);
    CHECK_EQ(wanted < idle ? wanted : idle, found);
    CHECK((wanted == 0) == (found == 0));
    if (!found)
        return;
    CHECK_EQ(held, held_by(count, source));
    bool gone[L4_SHED_LOOK] = {false};
    for (uint32_t i = 0; i < found; i++) {
        CHECK(!gone[chosen[i]]);
        gone[chosen[i]] = true;
        CHECK_EQ(source, rows[chosen[i]].source);
        CHECK(rows[chosen[i]].idle_ms >= LEAST);
        CHECK(!i || rows[chosen[i]].idle_ms <= rows[chosen[i - 1]].idle_ms);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].source == source && !gone[i])
            CHECK(rows[i].idle_ms <= rows[chosen[found - 1]].idle_ms);
    }
}

TEST(the_choice_is_that_of_the_naive_twin)
{
    uint64_t random = 7;
    for (int round = 0; round < 3000; round++) {
        const uint32_t count = (uint32_t)(l4_random(&random) % 60);
        fill(&random, count, 1 + (uint32_t)(l4_random(&random) % 12));
        check_choice(count, 1 + (uint32_t)(l4_random(&random) % 40));
    }
    for (int round = 0; round < 10; round++) {
        fill(&random, L4_SHED_LOOK, 1 + (uint32_t)(l4_random(&random) % L4_SHED_LOOK));
        check_choice(L4_SHED_LOOK, L4_SHED_BATCH);
    }
}

static void put(uint32_t at, uint32_t source, uint32_t idle_ms)
{
    rows[at] = (struct l4_shed_row){.source = source, .idle_ms = idle_ms};
}

TEST(a_source_that_has_all_keeps_half_for_itself)
{
    for (uint32_t i = 0; i < 10; i++)
        put(i, 5, 1000 + i);
    CHECK_EQ(5, l4_shed_choose(rows, 10, LEAST, 32, chosen));
    CHECK_EQ(9, chosen[0]);
    CHECK_EQ(5, chosen[4]);
}

TEST(where_all_hold_alike_nobody_goes)
{
    for (uint32_t i = 0; i < L4_SHED_LOOK; i++)
        put(i, i + 1, 100000);
    CHECK_EQ(0, l4_shed_choose(rows, L4_SHED_LOOK, LEAST, 32, chosen));
    put(0, 9, 100000);
    CHECK_EQ(0, l4_shed_choose(rows, 1, LEAST, 32, chosen));
    CHECK_EQ(0, l4_shed_choose(rows, 0, LEAST, 32, chosen));
}

TEST(who_is_busy_stays_and_the_next_biggest_goes)
{
    for (uint32_t i = 0; i < 30; i++)
        put(i, i < 16 ? 1 : i < 28 ? 2 : 3, i < 16 ? 0 : 500);
    CHECK_EQ(4, l4_shed_choose(rows, 30, LEAST, 32, chosen)); /* 12 minus a fair share of 8 */
    CHECK_EQ(2, rows[chosen[0]].source);
}

TEST(the_longest_idle_of_one_source_are_found_whatever_others_hold)
{
    for (uint32_t i = 0; i < 20; i++)
        put(i, i % 2 ? 1 : 2, 100 + i);
    CHECK_EQ(3, l4_shed_longest(rows, 20, 1, LEAST, 3, chosen));
    CHECK_EQ(19, chosen[0]);
    CHECK_EQ(17, chosen[1]);
    CHECK_EQ(15, chosen[2]);
    CHECK_EQ(0, l4_shed_longest(rows, 20, 3, LEAST, 3, chosen));
    CHECK_EQ(0, l4_shed_longest(rows, 20, 1, LEAST, 0, chosen));
}

MAIN(RUN(the_choice_is_that_of_the_naive_twin); RUN(a_source_that_has_all_keeps_half_for_itself);
     RUN(where_all_hold_alike_nobody_goes); RUN(who_is_busy_stays_and_the_next_biggest_goes);
     RUN(the_longest_idle_of_one_source_are_found_whatever_others_hold))
