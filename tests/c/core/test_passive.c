/* Passive health: rows of failures, ejections and their bounds, and picks that pass over. */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "core/passive.h"
#include "table.h"

static void rule(uint32_t failures, uint32_t eject_ms, uint32_t max_eject_ms, uint32_t percent)
{
    struct l4_passive_rule *r = &l4_table_pool(&table, 0)->passive;
    L4_SET(r->failures, failures);
    L4_SET(r->eject_ms, eject_ms);
    L4_SET(r->max_eject_ms, max_eject_ms);
    L4_SET(r->max_ejected_percent, percent);
}

static bool ejected(uint32_t backend, uint64_t now_ms)
{
    return l4_passive_ejected(l4_table_backend(&table, backend), now_ms);
}

/* Returns a client in 192.0.2.0/24, or (ip 0) in an IPv6 network. */
static struct l4_addr client(uint8_t ip, uint8_t last)
{
    struct l4_addr addr = {.family = AF_INET, .port = last, .ip = {192, 0, 2, ip}};
    if (!ip) {
        addr = (struct l4_addr){.family = AF_INET6, .ip = {0x20, 1, 0xd, 0xb8}};
        addr.ip[15] = last;
    }
    return addr;
}

static void reset_by(uint32_t backend, struct l4_addr by)
{
    l4_passive_reset(&table, 0, backend, &by, 10);
}

static void fail(uint32_t backend, int times, uint64_t now_ms)
{
    for (int i = 0; i < times; i++)
        l4_passive_unreached(&table, 0, backend, now_ms, -ECONNREFUSED);
}

static uint32_t pick_at(uint64_t now_ms)
{
    const struct l4_pick_request request = {.now_ms = now_ms};
    return l4_pick(&table, &request).backend;
}

TEST(as_many_failures_in_a_row_as_the_rule_says_eject)
{
    table_with(1, 4, NULL, L4_ROUND_ROBIN);
    rule(5, 100, 1000, 50);
    fail(0, 4, 10);
    CHECK(!ejected(0, 10));
    l4_passive_reached(&table, 0);
    fail(0, 4, 10);
    CHECK(!ejected(0, 10));
    fail(0, 1, 10);
    CHECK(ejected(0, 10) && ejected(0, 109) && !ejected(0, 110));
    CHECK_EQ(ECONNREFUSED, L4_GET(l4_table_backend(&table, 0)->passive.error));
    l4_table_close(&table);
}

TEST(a_backend_that_accepts_and_resets_is_ejected_too)
{
    table_with(1, 2, NULL, L4_ROUND_ROBIN);
    rule(3, 100, 1000, 50);
    for (int i = 0; i < 2; i++) {
        l4_passive_reached(&table, 1);
        reset_by(1, client(1, 1));
    }
    l4_passive_served(&table, 1);
    for (int i = 0; i < 3; i++) {
        CHECK(!ejected(1, 10));
        l4_passive_reached(&table, 1);
        reset_by(1, client(1, 1));
    }
    CHECK(ejected(1, 10));
    CHECK_EQ(L4_PASSIVE_RESET, L4_GET(l4_table_backend(&table, 1)->passive.cause));
    l4_table_close(&table);
}

TEST(resets_that_one_source_saw_alone_eject_nobody)
{
    for (uint32_t failures = 1; failures <= 3; failures++) {
        table_with(1, 2, NULL, L4_ROUND_ROBIN);
        rule(failures, 100, 1000, 50);
        L4_SET(l4_table_pool(&table, 0)->passive.several, 1);
        for (uint8_t port = 1; port < 100; port++) {
            reset_by(0, client(1, port)); /* other ports of one address */
            reset_by(1, client(0, port)); /* other addresses of one network */
        }
        CHECK(!ejected(0, 10) && !ejected(1, 10));
        reset_by(0, client(2, 1));
        CHECK_EQ(failures <= 2, ejected(0, 10));
        reset_by(0, client(1, 1));
        CHECK(ejected(0, 10));
        l4_table_close(&table);
    }
}

TEST(resets_of_sessions_in_which_the_client_sent_nothing_count_whoever_it_is)
{
    table_with(1, 2, NULL, L4_ROUND_ROBIN);
    rule(3, 100, 1000, 50);
    L4_SET(l4_table_pool(&table, 0)->passive.several, 1);
    for (int i = 0; i < 3; i++) {
        CHECK(!ejected(0, 10));
        l4_passive_reset(&table, 0, 0, NULL, 10);
    }
    CHECK(ejected(0, 10));
    l4_table_close(&table);
}

TEST(a_served_session_ends_the_row_of_resets_and_who_saw_them)
{
    table_with(1, 2, NULL, L4_ROUND_ROBIN);
    rule(2, 100, 1000, 50);
    L4_SET(l4_table_pool(&table, 0)->passive.several, 1);
    reset_by(0, client(1, 1));
    l4_passive_served(&table, 0);
    reset_by(0, client(2, 1));
    CHECK(!ejected(0, 10));
    reset_by(0, client(1, 1));
    CHECK(ejected(0, 10));
    l4_table_close(&table);
}

TEST(without_a_rule_and_for_this_hosts_own_faults_nobody_is_ejected)
{
    table_with(1, 2, NULL, L4_ROUND_ROBIN);
    fail(0, 100, 10);
    CHECK(!ejected(0, 10));
    rule(2, 100, 1000, 100);
    l4_passive_clear(l4_table_backend(&table, 0));
    for (int i = 0; i < 100; i++)
        l4_passive_unreached(&table, 0, 0, 10, EADDRNOTAVAIL);
    CHECK(!ejected(0, 10));
    l4_table_close(&table);
}

TEST(an_ejection_doubles_up_to_the_most_and_is_forgotten_after_it)
{
    table_with(1, 2, NULL, L4_ROUND_ROBIN);
    rule(1, 100, 500, 50);
    const uint64_t due[] = {100, 200, 400, 500, 500};
    uint64_t now = 1000;
    for (int i = 0; i < 5; i++) {
        fail(0, 1, now);
        CHECK(ejected(0, now + due[i] - 1) && !ejected(0, now + due[i]));
        now += due[i];
    }
    now += 500;
    fail(0, 1, now);
    CHECK(ejected(0, now + 99) && !ejected(0, now + 100));
    l4_table_close(&table);
}

TEST(no_more_than_the_share_of_the_pool_is_ejected)
{
    for (uint32_t members = 1; members <= 9; members++) {
        table_with(1, members, NULL, L4_ROUND_ROBIN);
        rule(1, 100, 500, 50);
        uint32_t out = 0;
        for (uint32_t i = 0; i < members; i++)
            fail(i, 3, 10);
        for (uint32_t i = 0; i < members; i++)
            out += ejected(i, 10);
        CHECK_EQ(members / 2, out);
        l4_table_close(&table);
    }
}

TEST(who_dies_while_ejecting_blocks_nobody_once_reaped)
{
    table_with(2, 2, NULL, L4_ROUND_ROBIN);
    rule(1, 100, 500, 50);
    L4_SET(l4_table_pool(&table, 0)->passive.ejector, 2); /* worker 1 died while it decided */
    fail(0, 3, 10);
    CHECK(!ejected(0, 10));
    l4_passive_forget(&table, 0);
    fail(0, 1, 10);
    CHECK(!ejected(0, 10));
    l4_passive_forget(&table, 1);
    fail(0, 1, 10);
    CHECK(ejected(0, 10));
    l4_table_close(&table);
}

TEST(only_evidence_from_after_its_begin_ends_an_ejection_early)
{
    table_with(1, 2, NULL, L4_ROUND_ROBIN);
    rule(1, 100, 500, 50);
    fail(0, 1, 10);
    CHECK(!l4_passive_end(&table, 0, 10, 20));
    CHECK(ejected(0, 20));
    CHECK(l4_passive_end(&table, 0, 11, 20));
    CHECK(!ejected(0, 20));
    CHECK(!l4_passive_end(&table, 0, 30, 31));
    fail(0, 1, 31); /* the ejection is remembered: the next one lasts twice as long */
    CHECK(ejected(0, 230) && !ejected(0, 231));
    l4_table_close(&table);
}

TEST(picks_pass_over_who_is_ejected_and_only_try_all_asks_it)
{
    for (uint32_t balance = 0; balance < L4_BALANCE_COUNT; balance++) {
        if (balance == L4_MAGLEV)
            continue; /* it needs a table of its own, and is judged alike */
        table_with(1, 2, NULL, (enum l4_balance)balance);
        rule(1, 100, 500, 100);
        fail(0, 1, 10);
        for (int i = 0; i < 4; i++)
            CHECK_EQ(1, pick_at(11));
        fail(1, 1, 10);
        CHECK_EQ(L4_NONE, pick_at(11));
        CHECK(pick_at(110) != L4_NONE);
        L4_SET(l4_table_pool(&table, 0)->all_down, L4_TRY_ALL);
        CHECK(pick_at(11) != L4_NONE);
        l4_table_close(&table);
    }
}

/* Four processes fail every backend at once: the maximum share is never exceeded. */
TEST(the_share_holds_while_many_workers_eject_at_once)
{
    table_with(4, 8, NULL, L4_ROUND_ROBIN);
    rule(1, 1, 1, 50);
    for (uint32_t worker = 0; worker < 4; worker++) {
        if (fork() == 0) {
            for (uint64_t i = 0; i < 40000; i++) {
                const uint64_t now = 1000000; /* ejections do not end: each is ejected once */
                l4_passive_unreached(&table, worker, (uint32_t)(i * (worker + 1) % 8), now,
                                     ECONNREFUSED);
            }
            _exit(0);
        }
    }
    for (uint32_t worker = 0; worker < 4; worker++) {
        int status = -1;
        CHECK(wait(&status) > 0 && status == 0);
    }
    uint32_t out = 0;
    uint64_t times = 0;
    for (uint32_t i = 0; i < 8; i++) {
        out += ejected(i, 1000000);
        times += L4_GET(l4_table_backend(&table, i)->passive.ejections);
    }
    CHECK_EQ(4, out);
    CHECK_EQ(4, times);
    CHECK_EQ(0, L4_GET(l4_table_pool(&table, 0)->passive.ejector));
    l4_table_close(&table);
}

MAIN(RUN(as_many_failures_in_a_row_as_the_rule_says_eject);
     RUN(a_backend_that_accepts_and_resets_is_ejected_too);
     RUN(resets_that_one_source_saw_alone_eject_nobody);
     RUN(resets_of_sessions_in_which_the_client_sent_nothing_count_whoever_it_is);
     RUN(a_served_session_ends_the_row_of_resets_and_who_saw_them);
     RUN(without_a_rule_and_for_this_hosts_own_faults_nobody_is_ejected);
     RUN(an_ejection_doubles_up_to_the_most_and_is_forgotten_after_it);
     RUN(no_more_than_the_share_of_the_pool_is_ejected);
     RUN(who_dies_while_ejecting_blocks_nobody_once_reaped);
     RUN(only_evidence_from_after_its_begin_ends_an_ejection_early);
     RUN(picks_pass_over_who_is_ejected_and_only_try_all_asks_it);
     RUN(the_share_holds_while_many_workers_eject_at_once))
