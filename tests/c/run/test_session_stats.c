/* Histograms, and the record of a session's end. */
#include <errno.h>
#include <string.h>

#include "check.h"
#include "core/logline.h"
#include "run/account.h"
#include "shm/policy_rows.h"
#include "shm/ring.h"
#include "table.h"

static struct l4_outcome ended_as(enum l4_reason reason)
{
    return (struct l4_outcome){
        .ended_us = 5000000,
        .duration_us = 3000,
        .bytes_in = 10,
        .bytes_out = 2000,
        .connect_us = 150,
        .first_byte_us = 200,
        .serial = 1,
        .backend_serial = 1,
        .reason = (uint8_t)reason,
        .reached = 1,
    };
}

static void start(void)
{
    table_with(2, 2, NULL, L4_ROUND_ROBIN);
    L4_SET(l4_table_stats(&table)->measures, 1);
    L4_SET(l4_table_stats(&table)->log_rule.on, 1);
    L4_SET(l4_table_stats(&table)->log_rule.share, 65536);
}

static bool take(uint32_t worker, struct l4_outcome *outcome)
{
    struct l4_log *log = l4_table_log(&table, worker);
    return L4_RING_TAKE(log, ring, outcomes, outcome);
}

static uint32_t logged(uint32_t worker)
{
    struct l4_outcome outcome;
    uint32_t count = 0;
    while (take(worker, &outcome))
        count++;
    return count;
}

TEST(every_value_is_in_the_first_bucket_whose_bound_is_not_below_it)
{
    const enum l4_measure scales[] = {L4_MEASURE_CONNECT_US, L4_MEASURE_BYTES_IN};
    for (int i = 0; i < 2; i++) {
        for (int bit = 0; bit < 64; bit++) {
            for (int delta = -1; delta <= 1; delta++) {
                const uint64_t value = (UINT64_C(1) << bit) + (uint64_t)delta;
                uint32_t slow = 0;
                while (value > l4_bucket_bound(scales[i], slow))
                    slow++;
                CHECK_EQ(slow, l4_bucket_of(scales[i], value));
                CHECK(slow < L4_BUCKETS);
            }
        }
    }
}

TEST(bounds_grow_and_end_in_infinity)
{
    for (uint32_t i = 1; i < L4_BUCKETS; i++)
        CHECK(l4_bucket_bound(L4_MEASURE_CONNECT_US, i - 1) <
              l4_bucket_bound(L4_MEASURE_CONNECT_US, i));
    CHECK_EQ(10, l4_bucket_bound(L4_MEASURE_CONNECT_US, 0));
    CHECK_EQ(64, l4_bucket_bound(L4_MEASURE_BYTES_IN, 0));
    CHECK(l4_bucket_bound(L4_MEASURE_BYTES_OUT, L4_BUCKETS - 1) == UINT64_MAX);
}

TEST(an_end_is_counted_measured_and_logged_once)
{
    start();
    const struct l4_outcome outcome = ended_as(L4_END_CLIENT_FIN);
    l4_account_end(&table, 1, &outcome);
    const struct l4_ledger *ledger = l4_table_ledger(&table, 1, 0);
    CHECK_EQ(1, L4_GET(l4_table_worker(&table, 1)->ended[L4_END_CLIENT_FIN]));
    CHECK_EQ(1, L4_GET(l4_table_tally(&table, 1, 0)->ended[L4_END_CLIENT_FIN]));
    CHECK_EQ(0, L4_GET(l4_table_tally(&table, 1, 0)->refused));
    CHECK_EQ(150, L4_GET(ledger->measures[L4_MEASURE_CONNECT_US].sum));
    CHECK_EQ(1, L4_GET(ledger->measures[L4_MEASURE_CONNECT_US].counts[4])); /* 200 us */
    CHECK_EQ(2000, L4_GET(ledger->measures[L4_MEASURE_BYTES_OUT].sum));
    CHECK_EQ(0, L4_GET(ledger->sampled));
    struct l4_outcome told;
    CHECK(take(1, &told));
    CHECK_EQ(0, memcmp(&outcome, &told, sizeof told));
    CHECK(!take(1, &told));
    CHECK_EQ(0, logged(0));
    l4_table_close(&table);
}

static size_t line_of(const struct l4_outcome *outcome, const struct l4_client_info *told,
                      bool json, char *text)
{
    const struct l4_logline line = {.outcome = outcome, .listener = "front", .told = told};
    const size_t bytes = json ? l4_logline_json(&line, text) : l4_logline_text(&line, text);
    text[bytes] = 0;
    return bytes;
}

TEST(what_was_learnt_of_the_client_lies_beside_its_end)
{
    char text[L4_LOG_LINE_MAX + 1];
    start();
    struct l4_session *s = l4_table_session(&table, 1, 0);
    struct l4_facts *facts = l4_table_facts(&table, 1, 0);
    const struct l4_outcome outcome = ended_as(L4_END_CLIENT_FIN);
    l4_account_end(&table, 1, &outcome);
    s->known = L4_FACT_NAME | L4_FACT_TLS | L4_FACT_ALPN | L4_FACT_VIA | L4_FACT_PORT;
    facts->port = 7001;
    strcpy(facts->name, "a\"b.example");
    strcpy(facts->version, "TLSv1.3");
    strcpy(facts->cipher, "TLS_AES_128_GCM_SHA256");
    facts->alpn[0] = 255; /* longer than the known bytes */
    memset(facts->alpn + 1, 'p', 255);
    facts->via = (struct l4_addr){.family = AF_INET, .port = 5, .ip = {192, 0, 2, 1}};
    l4_account_end(&table, 1, &outcome);
    s->known = 0; /* the next session in this row */
    memset(facts, 'x', sizeof *facts);
    struct l4_outcome end;
    CHECK(take(1, &end) && !end.told);
    CHECK(take(1, &end) && end.told);
    const struct l4_client_info *told = &l4_table_log(&table, 1)->told[1];
    CHECK_EQ(L4_LOG_ALPN_MAX, strlen(told->protocol));
    line_of(&end, told, true, text);
    CHECK(strstr(text, "\"end\":\"client_fin\""));
    CHECK(strstr(
        text,
        ",\"port\":7001,\"via\":\"192.0.2.1:5\",\"sni\":\"a\\\"b.example\",\"tls\":\"TLSv1.3\","
        "\"cipher\":\"TLS_AES_128_GCM_SHA256\",\"alpn\":\"ppp"));
    line_of(&end, told, false, text);
    CHECK(strstr(text,
                 " end=client_fin port=7001 via=192.0.2.1:5 sni=\"a\\\"b.example\" tls=TLSv1.3 "));
    line_of(&end, NULL, false, text);
    CHECK(!strstr(text, "sni"));
    l4_table_close(&table);
}

TEST(a_full_ring_keeps_what_lies_beside_its_entries)
{
    start();
    struct l4_session *s = l4_table_session(&table, 0, 0);
    struct l4_facts *facts = l4_table_facts(&table, 0, 0);
    const struct l4_outcome outcome = ended_as(L4_END_CLIENT_FIN);
    s->known = L4_FACT_NAME;
    strcpy(facts->name, "first");
    for (int i = 0; i < L4_LOG_PLACES; i++)
        l4_account_end(&table, 0, &outcome);
    strcpy(facts->name, "second");
    l4_account_end(&table, 0, &outcome);
    CHECK(strcmp(l4_table_log(&table, 0)->told[0].name, "first") == 0);
    CHECK_EQ(1, L4_GET(l4_table_log(&table, 0)->ring.dropped));
    l4_table_close(&table);
}

TEST(one_that_reached_no_backend_is_refused_and_not_measured_as_connected)
{
    start();
    struct l4_outcome outcome = ended_as(L4_END_NO_BACKEND);
    outcome.reached = 0;
    l4_account_end(&table, 0, &outcome);
    outcome.pool = outcome.listener = L4_NONE;
    l4_account_end(&table, 0, &outcome);
    CHECK_EQ(2, L4_GET(l4_table_worker(&table, 0)->ended[L4_END_NO_BACKEND]));
    CHECK_EQ(1, L4_GET(l4_table_tally(&table, 0, 0)->refused));
    CHECK_EQ(0, L4_GET(l4_table_ledger(&table, 0, 0)->measures[L4_MEASURE_CONNECT_US].sum));
    CHECK_EQ(2, logged(0));
    l4_table_close(&table);
}

TEST(filters_thin_out_clean_ends_only)
{
    start();
    struct l4_log_rule *rule = &l4_table_stats(&table)->log_rule;
    const struct l4_outcome clean = ended_as(L4_END_BACKEND_FIN);
    const struct l4_outcome fault = ended_as(L4_END_BACKEND_RESET);
    L4_SET(rule->errors_only, 1);
    l4_account_end(&table, 0, &clean);
    l4_account_end(&table, 0, &fault);
    CHECK_EQ(1, logged(0));
    L4_SET(rule->errors_only, 0);
    L4_SET(rule->min_duration_ms, 4);
    l4_account_end(&table, 0, &clean);
    l4_account_end(&table, 0, &fault);
    CHECK_EQ(1, logged(0));
    L4_SET(rule->min_duration_ms, 3);
    l4_account_end(&table, 0, &clean);
    CHECK_EQ(1, logged(0));
    L4_SET(rule->on, 0);
    l4_account_end(&table, 0, &fault);
    CHECK_EQ(0, logged(0));
    l4_table_close(&table);
}

TEST(a_udp_session_that_falls_silent_ended_well)
{
    start();
    L4_SET(l4_table_stats(&table)->log_rule.errors_only, 1);
    struct l4_outcome silent = ended_as(L4_END_IDLE_TIMEOUT);
    l4_account_end(&table, 0, &silent);
    CHECK_EQ(1, logged(0));
    silent.slot = table.plan.caps.sessions;
    l4_account_end(&table, 0, &silent);
    CHECK_EQ(0, logged(0));
    CHECK_EQ(1, L4_GET(l4_table_ledger(&table, 0, 0)->measures[L4_MEASURE_CONNECT_US].counts[4]));
    l4_table_close(&table);
}

TEST(a_share_is_kept_of_clean_ends)
{
    start();
    L4_SET(l4_table_stats(&table)->log_rule.share, 65536 / 4);
    struct l4_outcome clean = ended_as(L4_END_CLIENT_FIN);
    for (uint32_t i = 1; i <= 4000; i++) {
        clean.serial = i;
        l4_account_end(&table, 0, &clean);
    }
    const uint32_t kept = logged(0);
    CHECK(kept > 850 && kept < 1150);
    l4_table_close(&table);
}

TEST(a_full_log_drops_and_counts)
{
    start();
    const struct l4_outcome clean = ended_as(L4_END_CLIENT_FIN);
    for (uint32_t i = 0; i < L4_LOG_PLACES + 5; i++)
        l4_account_end(&table, 0, &clean);
    CHECK_EQ(5, L4_GET(l4_table_log(&table, 0)->ring.dropped));
    CHECK_EQ(L4_LOG_PLACES, logged(0));
    CHECK_EQ(L4_LOG_PLACES + 5, L4_GET(l4_table_worker(&table, 0)->ended[L4_END_CLIENT_FIN]));
    l4_table_close(&table);
}

TEST(sessions_that_died_with_their_worker_are_told_of_unless_they_were)
{
    start();
    for (uint32_t i = 0; i < 3; i++) {
        struct l4_session *s = l4_table_session(&table, 0, i);
        L4_SET(s->serial, 7 + i);
        L4_SET(s->state, L4_SESSION_RELAY);
        s->backend = 1;
        s->started_us = 1000;
        s->accounted = i == 1;
    }
    L4_SET(l4_table_worker(&table, 0)->sessions_high, 3);
    CHECK_EQ(2, l4_account_lost(&table, 0, true, 5000));
    CHECK_EQ(0, l4_account_lost(&table, 0, true, 6000));
    CHECK_EQ(2, L4_GET(l4_table_worker(&table, 0)->ended[L4_END_WORKER_DIED]));
    struct l4_outcome told;
    CHECK(take(0, &told));
    CHECK_EQ(L4_END_WORKER_DIED, told.reason);
    CHECK_EQ(7, told.serial);
    CHECK_EQ(4000, told.duration_us);
    CHECK_EQ(1, told.backend);
    CHECK_EQ(1, logged(0));
    l4_table_close(&table);
}

MAIN(RUN(every_value_is_in_the_first_bucket_whose_bound_is_not_below_it);
     RUN(bounds_grow_and_end_in_infinity); RUN(an_end_is_counted_measured_and_logged_once);
     RUN(one_that_reached_no_backend_is_refused_and_not_measured_as_connected);
     RUN(filters_thin_out_clean_ends_only); RUN(a_udp_session_that_falls_silent_ended_well);
     RUN(a_share_is_kept_of_clean_ends); RUN(a_full_log_drops_and_counts);
     RUN(sessions_that_died_with_their_worker_are_told_of_unless_they_were);
     RUN(what_was_learnt_of_the_client_lies_beside_its_end);
     RUN(a_full_ring_keeps_what_lies_beside_its_entries))
