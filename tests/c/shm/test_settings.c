/* What is configured gets into rows: settings by their paths, what a listener needs, the checker's
 * word. */
#include <string.h>

#include "check.h"
#include "shm/check.h"
#include "shm/needs.h"
#include "shm/settings.h"
#include "table.h"

static const struct l4_setting *setting(enum l4_setting_kind kind, const char *path)
{
    uint32_t count;
    const struct l4_setting *found = l4_settings(kind, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(found[i].path, path) == 0)
            return &found[i];
    }
    return NULL;
}

static bool put(enum l4_setting_kind kind, uint32_t row, const char *path, uint64_t value)
{
    return l4_setting_put(l4_settings_row(&table, kind, row), setting(kind, path), value);
}

TEST(a_setting_is_written_to_its_own_field_of_its_own_row)
{
    table_with(1, 1, NULL, L4_ROUND_ROBIN);
    CHECK(put(L4_OF_POOL, 1, "queue.length", 7));
    CHECK_EQ(7, L4_GET(l4_table_pool(&table, 1)->queue.length));
    CHECK_EQ(0, L4_GET(l4_table_pool(&table, 1)->queue.timeout_ms));
    CHECK_EQ(0, L4_GET(l4_table_pool(&table, 0)->queue.length));
    CHECK(put(L4_OF_POOL, 0, "sticky.prefix.ipv6", 64));
    CHECK_EQ(64, L4_GET(l4_table_pool(&table, 0)->sticky.key.prefix6));
    CHECK_EQ(0, L4_GET(l4_table_pool(&table, 0)->hash_rule.prefix6));
    CHECK(put(L4_OF_LISTENER, 1, "limits.rate_per_source.limit", 1ull << 40));
    CHECK_EQ(1ull << 40,
             L4_GET(l4_table_listener(&table, 1)->edge.limits.limits[L4_LIMIT_SOURCE_RATE].value));
    CHECK(put(L4_OF_TABLE, 0, "limits.tarpit_time_ms", 900));
    CHECK_EQ(900, L4_GET(table.header->tarpit_ms));
    l4_table_close(&table);
}

TEST(a_value_too_large_for_its_field_is_refused_and_nothing_is_written)
{
    table_with(1, 1, NULL, L4_ROUND_ROBIN);
    CHECK(put(L4_OF_POOL, 0, "retries", 3));
    CHECK(!put(L4_OF_POOL, 0, "retries", 1ull << 32));
    CHECK_EQ(3, L4_GET(l4_table_pool(&table, 0)->retries));
    l4_table_close(&table);
}

TEST(no_two_settings_of_a_row_have_one_path_or_overlap)
{
    for (enum l4_setting_kind kind = 0; kind < L4_SETTING_KINDS; kind++) {
        uint32_t count;
        const struct l4_setting *all = l4_settings(kind, &count);
        CHECK(count > 5);
        for (uint32_t i = 0; i < count; i++) {
            for (uint32_t j = 0; j < i; j++) {
                CHECK(strcmp(all[i].path, all[j].path) != 0);
                CHECK(all[i].at + all[i].bytes <= all[j].at ||
                      all[j].at + all[j].bytes <= all[i].at);
            }
        }
    }
}

static uint32_t needs_after(const char *path, uint64_t value)
{
    CHECK(put(L4_OF_LISTENER, 0, path, value));
    l4_needs_settle(&table, 0);
    return L4_GET(l4_table_listener(&table, 0)->edge.needs);
}

TEST(what_a_listener_needs_follows_from_its_row)
{
    table_with(1, 1, NULL, L4_ROUND_ROBIN);
    struct l4_listener *listener = l4_table_listener(&table, 0);
    L4_SET(listener->used, 1);
    CHECK(put(L4_OF_LISTENER, 0, "access_set", L4_NONE));
    CHECK_EQ(0, needs_after("rules_set", L4_NONE));
    CHECK_EQ(L4_NEEDS_ACCESS, needs_after("rules_set", 3));
    CHECK_EQ(0, needs_after("rules_set", L4_NONE));
    CHECK_EQ(L4_NEEDS_LIMITS, needs_after("limits.connections.limit", 1));
    CHECK_EQ(0, needs_after("limits.connections.limit", 0));
    CHECK_EQ(L4_NEEDS_LIMITS | L4_NEEDS_PACE, needs_after("limits.bandwidth_per_source.limit", 1));
    CHECK_EQ(0, needs_after("limits.bandwidth_per_source.limit", 0));
    CHECK_EQ(L4_NEEDS_PACE, needs_after("limits.max_age_ms", 1));
    CHECK_EQ(0, needs_after("limits.max_age_ms", 0));
    CHECK_EQ(L4_MAY_PROXY, needs_after("asked", L4_MAY_PROXY));
    L4_SET(table.header->blocks, 1);
    l4_needs_settle_all(&table);
    CHECK_EQ(L4_MAY_PROXY | L4_NEEDS_BLOCKS, L4_GET(listener->edge.needs));
    CHECK_EQ(0, L4_GET(l4_table_listener(&table, 1)->edge.needs));
    l4_table_close(&table);
}

TEST(routes_are_needed_once_those_in_force_have_some)
{
    table_with(1, 1, NULL, L4_ROUND_ROBIN);
    struct l4_policy *edge = &l4_table_listener(&table, 0)->edge;
    L4_SET(edge->access_set, L4_NONE);
    L4_SET(edge->rules_set, L4_NONE);
    L4_SET(edge->routes_count[1], 2);
    CHECK_EQ(0, l4_needs_of(table.header, edge));
    L4_SET(table.header->routes_generation, 1);
    CHECK_EQ(L4_NEEDS_ROUTE, l4_needs_of(table.header, edge));
    l4_table_close(&table);
}

TEST(a_return_from_down_is_remembered_and_no_other_change_is)
{
    table_with(1, 1, NULL, L4_ROUND_ROBIN);
    struct l4_backend *b = l4_table_backend(&table, 0);
    l4_check_say(b, L4_UP, 0, 10);
    CHECK_EQ(0, L4_GET(b->up_since_ms));
    l4_check_say(b, L4_DOWN, 0, 20);
    CHECK_EQ(0, L4_GET(b->up_since_ms));
    const struct l4_check good = {.health = L4_UP, .at_ms = 30, .passed = true, .text = "fine"};
    l4_check_record(b, &good);
    CHECK_EQ(30, L4_GET(b->up_since_ms));
    CHECK_EQ(30, L4_GET(b->health_since_ms));
    CHECK_EQ(1, L4_GET(b->checks_passed));
    CHECK_EQ(0, L4_GET(b->checks_failed));
    l4_table_close(&table);
}

TEST(a_checker_that_died_while_it_wrote_is_repaired_by_the_next)
{
    table_with(1, 1, NULL, L4_ROUND_ROBIN);
    struct l4_backend *b = l4_table_backend(&table, 0);
    const struct l4_check bad = {.health = L4_DOWN, .at_ms = 1, .code = 503, .text = "bad"};
    struct l4_check_words words;
    L4_SET(b->check_seq, 5); /* odd */
    l4_check_record(b, &bad);
    CHECK_EQ(0, L4_GET(b->check_seq) & 1);
    l4_check_read(b, &words);
    CHECK_EQ(503, words.code);
    CHECK(strcmp(words.text, "bad") == 0);
    l4_table_close(&table);
}

MAIN(RUN(a_setting_is_written_to_its_own_field_of_its_own_row);
     RUN(a_value_too_large_for_its_field_is_refused_and_nothing_is_written);
     RUN(no_two_settings_of_a_row_have_one_path_or_overlap);
     RUN(what_a_listener_needs_follows_from_its_row);
     RUN(routes_are_needed_once_those_in_force_have_some);
     RUN(a_return_from_down_is_remembered_and_no_other_change_is);
     RUN(a_checker_that_died_while_it_wrote_is_repaired_by_the_next))
