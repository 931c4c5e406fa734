/* Conditions and ranges of requests: RFC 9110, 13 and 14. */
#include "core/validate.h"
#include "heads.h"

static const int64_t now = 1764436200;
static struct test_head request, answer;
static struct l4_validators stored;

static void store(const char *fields)
{
    stored = l4_validators_of(answer.bytes, test_answer(&answer, 200, fields), now);
}

static int condition(const char *fields)
{
    const struct l4_h1_head *head = test_request(&request, "GET", fields);
    return (int)l4_condition_of(request.bytes, head, &stored, now);
}

#define MODIFIED "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
#define DATE     "Date: Sun, 06 Nov 1994 08:59:37 GMT\r\n"

TEST(entity_tags_are_compared_by_both_rules)
{
    const struct l4_text strong = L4_TEXT("\"1\""), weak = L4_TEXT("W/\"1\""), none = {NULL, 0};
    CHECK(l4_etag_is(strong, strong, false) && l4_etag_is(strong, strong, true));
    CHECK(!l4_etag_is(strong, weak, false) && l4_etag_is(strong, weak, true));
    CHECK(!l4_etag_is(weak, weak, false) && l4_etag_is(weak, weak, true));
    CHECK(!l4_etag_is(strong, L4_TEXT("\"2\""), true));
    CHECK(!l4_etag_is(none, none, true) && !l4_etag_is(strong, L4_TEXT("w/\"1\""), true));
}

TEST(if_none_match_lists_tags_and_comes_first)
{
    store("ETag: \"a,b\"\r\n" MODIFIED DATE);
    CHECK_EQ(L4_CONDITION_NOT_MODIFIED, condition("If-None-Match: \"a,b\"\r\n"));
    CHECK_EQ(L4_CONDITION_NOT_MODIFIED, condition("If-None-Match: \"x\" , W/\"a,b\",\"y\"\r\n"));
    CHECK_EQ(L4_CONDITION_NOT_MODIFIED,
             condition("If-None-Match: \"x\"\r\nIf-None-Match: \"a,b\"\r\n"));
    CHECK_EQ(L4_CONDITION_NOT_MODIFIED, condition("If-None-Match: *\r\n"));
    CHECK_EQ(L4_CONDITION_NONE, condition("If-None-Match: \"a\", \"b\"\r\n"));
    CHECK_EQ(L4_CONDITION_NONE, condition("If-None-Match: a,b\r\n"));
    CHECK_EQ(
        L4_CONDITION_NONE,
        condition("If-None-Match: \"x\"\r\nIf-Modified-Since: Mon, 07 Nov 1994 08:49:37 GMT\r\n"));
    store(MODIFIED DATE);
    CHECK_EQ(L4_CONDITION_NONE, condition("If-None-Match: \"a\"\r\n"));
    CHECK_EQ(L4_CONDITION_NOT_MODIFIED, condition("If-None-Match: *\r\n"));
}

TEST(if_modified_since_compares_times_in_all_forms)
{
    store(MODIFIED DATE);
    CHECK_EQ(L4_CONDITION_NOT_MODIFIED,
             condition("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
    CHECK_EQ(L4_CONDITION_NOT_MODIFIED,
             condition("If-Modified-Since: Sunday, 06-Nov-94 08:49:38 GMT\r\n"));
    CHECK_EQ(L4_CONDITION_NONE, condition("If-Modified-Since: Sun Nov  6 08:49:36 1994\r\n"));
    CHECK_EQ(L4_CONDITION_NONE, condition("If-Modified-Since: yesterday\r\n"));
    store(DATE);
    CHECK_EQ(L4_CONDITION_NOT_MODIFIED,
             condition("If-Modified-Since: Sun, 06 Nov 1994 08:59:37 GMT\r\n"));
    CHECK_EQ(L4_CONDITION_NONE, condition("If-Modified-Since: Sun, 06 Nov 1994 08:59:36 GMT\r\n"));
}

TEST(preconditions_that_fail_are_told)
{
    store("ETag: \"a\"\r\n" MODIFIED DATE);
    CHECK_EQ(L4_CONDITION_NONE, condition("If-Match: \"x\", \"a\"\r\n"));
    CHECK_EQ(L4_CONDITION_FAILED, condition("If-Match: W/\"a\"\r\n"));
    CHECK_EQ(L4_CONDITION_NONE, condition("If-Match: *\r\n"));
    CHECK_EQ(L4_CONDITION_FAILED,
             condition("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n"));
    CHECK_EQ(L4_CONDITION_NONE,
             condition("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
}

TEST(a_date_that_is_there_twice_is_no_condition)
{
    store(MODIFIED DATE);
    CHECK_EQ(L4_CONDITION_NONE, condition("If-Modified-Since: Mon, 07 Nov 1994 08:49:37 GMT\r\n"
                                          "If-Modified-Since: Mon, 07 Nov 1994 08:49:37 GMT\r\n"));
}

/* ---- ranges ------------------------------------------------------------------------------------
 */

/* Returns FIRST * 1000 + LAST of a body of 100 bytes; -1: the whole; -2: nothing of it is there. */
static long long range_of(uint64_t length, const char *fields)
{
    uint64_t first = 0, last = 0;
    const struct l4_h1_head *head = test_request(&request, "GET", fields);
    const enum l4_range range =
        l4_range_of(request.bytes, head, &stored, length, now, &first, &last);
    return range == L4_RANGE_PART ? (long long)(first * 1000 + last)
                                  : -1 - (range != L4_RANGE_NONE);
}

TEST(one_range_is_a_part)
{
    store("");
    CHECK_EQ(5, range_of(100, "Range: bytes=0-5\r\n"));
    CHECK_EQ(10010, range_of(100, "Range: BYTES=10-10\r\n"));
    CHECK_EQ(10099, range_of(100, "Range: bytes=10-\r\n"));
    CHECK_EQ(10099, range_of(100, "Range: bytes=10-100\r\n"));
    CHECK_EQ(95099, range_of(100, "Range: bytes=-5\r\n"));
    CHECK_EQ(99, range_of(100, "Range: bytes=-500\r\n"));
    CHECK_EQ(99, range_of(100, "Range: bytes=0-99999999999999999999999999\r\n"));
    CHECK_EQ(-2, range_of(100, "Range: bytes=100-\r\n"));
    CHECK_EQ(-2, range_of(100, "Range: bytes=-0\r\n"));
    CHECK_EQ(-2, range_of(0, "Range: bytes=-5\r\n"));
    CHECK_EQ(-2, range_of(0, "Range: bytes=0-\r\n"));
}

TEST(what_is_no_single_range_is_the_whole)
{
    static const char *const wrong[] = {"",          "bytes",       "bytes=",        "bytes=-",
                                        "bytes=5",   "bytes=9-5",   "bytes=1-2,4-5", "lines=1-2",
                                        "bytes=a-b", "bytes=1 - 2", "bytes=--5",     "bytes=1-2x"};
    store("");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char fields[64];
        snprintf(fields, sizeof fields, "Range: %s\r\n", wrong[i]);
        CHECK_EQ(-1, range_of(100, fields));
    }
    CHECK_EQ(-1, range_of(100, "Range: bytes=1-2\r\nRange: bytes=3-4\r\n"));
    CHECK_EQ(-1, range_of(100, ""));
    uint64_t first, last;
    const struct l4_h1_head *head = test_request(&request, "HEAD", "Range: bytes=1-2\r\n");
    CHECK_EQ(L4_RANGE_NONE, l4_range_of(request.bytes, head, &stored, 100, now, &first, &last));
}

TEST(a_range_of_something_older_is_the_whole)
{
#define RANGE "Range: bytes=1-2\r\n"
    store("ETag: \"a\"\r\n" MODIFIED DATE);
    CHECK_EQ(1002, range_of(100, RANGE "If-Range: \"a\"\r\n"));
    CHECK_EQ(-1, range_of(100, RANGE "If-Range: \"b\"\r\n"));
    CHECK_EQ(-1, range_of(100, RANGE "If-Range: W/\"a\"\r\n"));
    CHECK_EQ(1002, range_of(100, RANGE "If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
    CHECK_EQ(-1, range_of(100, RANGE "If-Range: Sun, 06 Nov 1994 08:49:38 GMT\r\n"));
    CHECK_EQ(-1, range_of(100, RANGE "If-Range: x\r\n"));
    store(MODIFIED "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    CHECK_EQ(-1, range_of(100, RANGE "If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
}

MAIN(RUN(entity_tags_are_compared_by_both_rules); RUN(if_none_match_lists_tags_and_comes_first);
     RUN(if_modified_since_compares_times_in_all_forms); RUN(preconditions_that_fail_are_told);
     RUN(a_date_that_is_there_twice_is_no_condition); RUN(one_range_is_a_part);
     RUN(what_is_no_single_range_is_the_whole); RUN(a_range_of_something_older_is_the_whole))
