/* What may be kept, for how long, and when it may be used again: RFC 9111 and RFC 5861. */
#include "core/date.h"
#include "core/fresh.h"
#include "heads.h"

static const int64_t now = 1764436200;

static struct l4_fresh_rules rules = {.heuristic_percent = 10, .most_s = L4_CACHE_SECONDS_MAX};
static struct test_head request, answer;
static struct l4_freshness freshness;

/* Judges an answer; %D in its fields is the date of now, %Y that of a day before, %T of a day
 * after. */
static enum l4_unstorable judge(int status, const char *fields, const char *asked)
{
    char filled[4096], *to = filled;
    for (; *fields; fields++) {
        if (*fields != '%') {
            *to++ = *fields;
            continue;
        }
        fields++;
        l4_date_write(to, now + (*fields == 'Y' ? -86400 : *fields == 'T' ? 86400 : 0));
        to += L4_DATE_BYTES;
    }
    *to = 0;
    const struct l4_exchange_heads heads = {
        .request_bytes = request.bytes,
        .answer_bytes = answer.bytes,
        .request = test_request(&request, "GET", asked),
        .answer = test_answer(&answer, status, filled),
        .asked_s = now,
        .answered_s = now,
    };
    return l4_fresh_judge(&heads, &rules, &freshness);
}

/* Returns the lifetime of an answer; -1: it is not kept. */
static long long lifetime(int status, const char *fields)
{
    return judge(status, fields, "") == L4_UNSTORABLE_NONE ? (long long)freshness.lifetime_s : -1;
}

#define CC   "Cache-Control: "
#define DATE "Date: %D\r\n"

TEST(what_an_answer_says_comes_in_this_order)
{
    CHECK_EQ(10, lifetime(200, CC "max-age=20, s-maxage=10\r\nExpires: %T\r\n" DATE));
    CHECK_EQ(20, lifetime(200, CC "max-age=20\r\nExpires: %T\r\n" DATE));
    CHECK_EQ(86400, lifetime(200, "Expires: %T\r\n" DATE));
    CHECK_EQ(172800, lifetime(200, "Expires: %T\r\nDate: %Y\r\n"));
    CHECK_EQ(8640, lifetime(200, "Last-Modified: %Y\r\n" DATE));
    CHECK(freshness.flags & L4_FRESH_HEURISTIC);
    CHECK_EQ(-1, lifetime(200, DATE));
}

TEST(an_invalid_or_past_expires_has_passed)
{
    CHECK_EQ(-1, lifetime(200, "Expires: 0\r\n" DATE));
    CHECK_EQ(-1, lifetime(200, "Expires: %Y\r\n" DATE));
    CHECK_EQ(0, lifetime(200, "Expires: Thu, 18 Aug 2050 02:01:18 UTC\r\nETag: \"a\"\r\n" DATE));
    CHECK_EQ(0, lifetime(200, "Expires: -1\r\nLast-Modified: %Y\r\n" DATE));
}

TEST(each_status_is_kept_as_it_may_be)
{
    for (int status = 200; status < 600; status++) {
        const bool never = status == 206 || status == 304;
        CHECK_EQ(never ? -1 : 60, lifetime(status, CC "max-age=60\r\n" DATE));
    }
    static const int guessed[] = {200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501};
    for (int status = 200, i = 0; status < 600; status++) {
        const bool may = i < (int)(sizeof guessed / sizeof *guessed) && guessed[i] == status;
        i += may;
        CHECK_EQ(may ? 8640 : -1, lifetime(status, "Last-Modified: %Y\r\n" DATE));
    }
    CHECK_EQ(8640, lifetime(599, CC "public\r\nLast-Modified: %Y\r\n" DATE));
}

TEST(what_forbids_keeping_is_named)
{
    const char *fresh = CC "max-age=60\r\n";
    CHECK_EQ(L4_UNSTORABLE_NO_STORE, judge(200, CC "max-age=60, no-store\r\n", ""));
    CHECK_EQ(L4_UNSTORABLE_PRIVATE, judge(200, CC "max-age=60, private=\"X\"\r\n", ""));
    CHECK_EQ(L4_UNSTORABLE_VARY, judge(200, CC "max-age=60\r\nVary: a, *\r\n", ""));
    CHECK_EQ(L4_UNSTORABLE_REQUEST, judge(200, fresh, CC "no-store\r\n"));
    CHECK_EQ(L4_UNSTORABLE_STATUS, judge(206, fresh, ""));
    CHECK_EQ(L4_UNSTORABLE_NO_LIFETIME, judge(200, "", ""));
    const struct l4_exchange_heads head = {
        .request_bytes = request.bytes,
        .answer_bytes = answer.bytes,
        .request = test_request(&request, "HEAD", ""),
        .answer = test_answer(&answer, 200, fresh),
    };
    CHECK_EQ(L4_UNSTORABLE_METHOD, l4_fresh_judge(&head, &rules, &freshness));
    for (unsigned i = 0; i <= L4_UNSTORABLE_COUNT; i++)
        CHECK(strlen(l4_unstorable_word(i)) > 0);
}

TEST(an_answer_to_who_has_a_password_is_kept_only_if_it_says_so)
{
    const char *who = "Authorization: Basic eA==\r\n";
    CHECK_EQ(L4_UNSTORABLE_AUTHORIZATION, judge(200, CC "max-age=60\r\n", who));
    CHECK_EQ(L4_UNSTORABLE_AUTHORIZATION, judge(200, CC "max-age=60, proxy-revalidate\r\n", who));
    CHECK_EQ(L4_UNSTORABLE_NONE, judge(200, CC "max-age=60, public\r\n", who));
    CHECK_EQ(L4_UNSTORABLE_NONE, judge(200, CC "max-age=60, must-revalidate\r\n", who));
    CHECK_EQ(L4_UNSTORABLE_NONE, judge(200, CC "s-maxage=60\r\n", who));
}

TEST(what_must_be_understood_is_kept_if_it_is_in_place_of_no_store)
{
    CHECK_EQ(60, lifetime(200, CC "max-age=60, no-store, must-understand\r\n"));
    CHECK_EQ(-1, lifetime(599, CC "max-age=60, no-store, must-understand\r\n"));
    CHECK_EQ(-1, lifetime(299, CC "max-age=60, must-understand\r\n"));
}

TEST(fields_for_this_cache_come_before_all_others)
{
    static const struct l4_text names[] = {{"l4lb-cdn-cache-control", 22},
                                           {"cdn-cache-control", 17}};
    rules.targeted = names;
    rules.targeted_count = 2;
    CHECK_EQ(9, lifetime(200, CC "no-store\r\nExpires: %Y\r\nCDN-Cache-Control: max-age=9\r\n"));
    CHECK_EQ(-1, lifetime(200, CC "max-age=9\r\nCDN-Cache-Control: private\r\n"));
    CHECK_EQ(9, lifetime(200, CC "max-age=9\r\nCDN-Cache-Control: &\r\n"));
    CHECK_EQ(
        8, lifetime(200, "CDN-Cache-Control: max-age=9\r\nL4LB-CDN-Cache-Control: max-age=8\r\n"));
    CHECK_EQ(-1, lifetime(200, "Expires: %T\r\nCDN-Cache-Control: foo\r\n"));
    rules.targeted_count = 0;
}

TEST(the_configuration_speaks_where_an_answer_does_not)
{
    static const struct l4_status_lifetime statuses[] = {{404, 7}, {403, 8}, {301, 0}};
    rules.default_s = 5;
    rules.statuses = statuses;
    rules.status_count = 3;
    CHECK_EQ(5, lifetime(200, ""));
    CHECK_EQ(7, lifetime(404, "Last-Modified: %Y\r\n"));
    CHECK_EQ(8, lifetime(403, ""));
    CHECK_EQ(-1, lifetime(301, ""));
    CHECK_EQ(-1, lifetime(500, ""));
    CHECK_EQ(60, lifetime(404, CC "max-age=60\r\n"));
    rules.most_s = 6;
    CHECK_EQ(6, lifetime(200, CC "max-age=60\r\n"));
    rules = (struct l4_fresh_rules){.heuristic_percent = 10, .most_s = L4_CACHE_SECONDS_MAX};
}

/* ---- age ---------------------------------------------------------------------------------------
 */

static uint32_t age(const char *fields)
{
    judge(200, fields, "");
    return l4_fresh_age(&freshness, now);
}

TEST(the_age_that_came_is_read_as_the_first_number)
{
    static const struct {
        const char *field;
        uint32_t seconds;
    } cases[] = {{"0", 0},
                 {"7200", 7200},
                 {"7200, 0", 7200},
                 {"0, 7200", 0},
                 {"abc", 0},
                 {"-7200", 0},
                 {"7200.0", 0},
                 {"2147483647", 2147483647u},
                 {"2147483649", L4_CACHE_SECONDS_MAX},
                 {"99999999999999999999", L4_CACHE_SECONDS_MAX},
                 {"7200;a=b", 0},
                 {"", 0},
                 {" 5 , 7", 5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char fields[128];
        snprintf(fields, sizeof fields, "Date: %%D\r\nAge: %s\r\n", cases[i].field);
        CHECK_EQ(cases[i].seconds, age(fields));
    }
    CHECK_EQ(5, age("Age: 5\r\nAge: 9\r\n" DATE));
}

TEST(an_old_date_makes_old_and_a_future_one_does_not_make_young)
{
    CHECK_EQ(86400, age("Date: %Y\r\n"));
    CHECK_EQ(86400, age("Date: %Y\r\nAge: 5\r\n"));
    CHECK_EQ(0, age("Date: %T\r\n"));
    CHECK_EQ(5, age("Date: %T\r\nAge: 5\r\n"));
    CHECK_EQ(15, l4_fresh_age(&freshness, now + 10));
    CHECK_EQ(5, l4_fresh_age(&freshness, now - 1000));
    CHECK_EQ(L4_CACHE_SECONDS_MAX, l4_fresh_age(&freshness, INT64_MAX / 2));
}

TEST(the_time_that_an_answer_took_counts)
{
    const struct l4_exchange_heads heads = {
        .request_bytes = request.bytes,
        .answer_bytes = answer.bytes,
        .request = test_request(&request, "GET", ""),
        .answer = test_answer(&answer, 200, CC "max-age=60\r\nAge: 3\r\n"),
        .asked_s = now - 4,
        .answered_s = now,
    };
    l4_fresh_judge(&heads, &rules, &freshness);
    CHECK_EQ(7, l4_fresh_age(&freshness, now));
}

/* ---- use ---------------------------------------------------------------------------------------
 */

static struct l4_cache_control asked_of(const char *fields)
{
    struct l4_cache_control asked;
    l4_fresh_asked(request.bytes, test_request(&request, "GET", fields), &asked);
    return asked;
}

static int use(int64_t later, const char *asked)
{
    const struct l4_cache_control control = asked_of(asked);
    return (int)l4_fresh_use(&freshness, &control, now + later);
}

static bool after_error(int64_t later, const char *asked)
{
    const struct l4_cache_control control = asked_of(asked);
    return l4_fresh_use_after_error(&freshness, &control, now + later);
}

TEST(an_answer_is_used_while_its_lifetime_is_longer_than_its_age)
{
    judge(200, CC "max-age=60\r\nAge: 10\r\n", "");
    CHECK_EQ(L4_USE, use(49, ""));
    CHECK_EQ(L4_USE_AFTER_ASKING, use(50, ""));
    judge(200, CC "max-age=60, no-cache\r\n", "");
    CHECK_EQ(L4_USE_AFTER_ASKING, use(0, ""));
    CHECK_EQ(L4_USE_AFTER_ASKING, use(0, CC "max-stale\r\n"));
}

TEST(a_client_may_ask_for_less_and_for_more)
{
    judge(200, CC "max-age=60\r\nETag: \"a\"\r\n", "");
    CHECK_EQ(L4_USE_AFTER_ASKING, use(0, CC "no-cache\r\n"));
    CHECK_EQ(L4_USE_AFTER_ASKING, use(0, "Pragma: no-cache\r\n"));
    CHECK_EQ(L4_USE, use(0, "Pragma: no-cache\r\n" CC "max-age=60\r\n"));
    CHECK_EQ(L4_USE_AFTER_ASKING, use(0, CC "max-age=0\r\n"));
    CHECK_EQ(L4_USE, use(9, CC "max-age=10\r\n"));
    CHECK_EQ(L4_USE_AFTER_ASKING, use(10, CC "max-age=10\r\n"));
    CHECK_EQ(L4_USE, use(9, CC "min-fresh=50\r\n"));
    CHECK_EQ(L4_USE_AFTER_ASKING, use(10, CC "min-fresh=50\r\n"));
    CHECK_EQ(L4_USE, use(160, CC "max-stale=100\r\n"));
    CHECK_EQ(L4_USE_AFTER_ASKING, use(161, CC "max-stale=100\r\n"));
    CHECK_EQ(L4_USE, use(100000, CC "max-stale\r\n"));
    judge(200, CC "max-age=60, must-revalidate\r\n", "");
    CHECK_EQ(L4_USE_AFTER_ASKING, use(61, CC "max-stale\r\n"));
}

TEST(stale_answers_are_used_while_they_are_looked_at)
{
    judge(200, CC "max-age=60, stale-while-revalidate=10\r\n", "");
    CHECK_EQ(L4_USE, use(59, ""));
    CHECK_EQ(L4_USE_STALE, use(60, ""));
    CHECK_EQ(L4_USE_STALE, use(69, ""));
    CHECK_EQ(L4_USE_AFTER_ASKING, use(70, ""));
    CHECK_EQ(L4_USE_AFTER_ASKING, use(65, CC "max-age=60\r\n"));
    CHECK(!after_error(65, ""));
}

TEST(stale_answers_are_used_after_errors)
{
    judge(200, CC "max-age=60, stale-if-error=10\r\n", "");
    CHECK(after_error(69, "") && !after_error(70, ""));
    CHECK(after_error(75, CC "stale-if-error=20\r\n"));
    CHECK(!after_error(65, CC "no-cache\r\n"));
    static const char *const strict[] = {"must-revalidate", "proxy-revalidate", "no-cache"};
    for (size_t i = 0; i < 3; i++) {
        char fields[128];
        snprintf(fields, sizeof fields, CC "max-age=60, stale-if-error=10, %s\r\n", strict[i]);
        judge(200, fields, "");
        CHECK(!after_error(61, "") && !after_error(61, CC "stale-if-error=99\r\n"));
    }
}

TEST(the_configurations_stale_times_are_for_answers_that_forbid_nothing)
{
    rules.if_error_s = 100;
    rules.while_revalidate_s = 50;
    judge(200, CC "max-age=60\r\n", "");
    CHECK(after_error(159, "") && !after_error(160, ""));
    CHECK_EQ(L4_USE_STALE, use(109, ""));
    judge(200, CC "s-maxage=60\r\n", "");
    CHECK(!after_error(61, ""));
    CHECK_EQ(L4_USE_AFTER_ASKING, use(61, CC "max-stale\r\n"));
    judge(200, CC "s-maxage=60, stale-if-error=10\r\n", "");
    CHECK(after_error(61, "") && !after_error(70, ""));
    CHECK_EQ(L4_USE_AFTER_ASKING, use(61, ""));
    rules = (struct l4_fresh_rules){.heuristic_percent = 10, .most_s = L4_CACHE_SECONDS_MAX};
}

MAIN(RUN(what_an_answer_says_comes_in_this_order); RUN(an_invalid_or_past_expires_has_passed);
     RUN(each_status_is_kept_as_it_may_be); RUN(what_forbids_keeping_is_named);
     RUN(an_answer_to_who_has_a_password_is_kept_only_if_it_says_so);
     RUN(what_must_be_understood_is_kept_if_it_is_in_place_of_no_store);
     RUN(fields_for_this_cache_come_before_all_others);
     RUN(the_configuration_speaks_where_an_answer_does_not);
     RUN(the_age_that_came_is_read_as_the_first_number);
     RUN(an_old_date_makes_old_and_a_future_one_does_not_make_young);
     RUN(the_time_that_an_answer_took_counts);
     RUN(an_answer_is_used_while_its_lifetime_is_longer_than_its_age);
     RUN(a_client_may_ask_for_less_and_for_more);
     RUN(stale_answers_are_used_while_they_are_looked_at); RUN(stale_answers_are_used_after_errors);
     RUN(the_configurations_stale_times_are_for_answers_that_forbid_nothing))
